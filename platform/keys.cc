// SPDX-License-Identifier: Apache-2.0
#include "platform/keys.h"

#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <cstddef>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "platform/keys_error.h"

namespace dumpwarden {
namespace {

constexpr std::size_t kMaxPrivateKeyPem = 16 * 1024;
constexpr std::size_t kMaxCsr = 8 * 1024;
constexpr std::size_t kMaxSignature = 72;   // the longest DER form of two P-256 numbers
constexpr std::size_t kPublicKeySize = 91;  // P-256, named curve, uncompressed point

struct FreeBio {
  void operator()(BIO* bio) const { BIO_free_all(bio); }
};
using BioPtr = std::unique_ptr<BIO, FreeBio>;

struct FreeDigest {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};
using DigestPtr = std::unique_ptr<EVP_MD_CTX, FreeDigest>;

struct FreeRequest {
  void operator()(X509_REQ* request) const { X509_REQ_free(request); }
};
using RequestPtr = std::unique_ptr<X509_REQ, FreeRequest>;

const unsigned char* Bytes(absl::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

// Without it OpenSSL would ask the terminal for the password of an encrypted key.
int NoPassword(char*, int, int, void*) { return -1; }

absl::Status RequireP256(const EVP_PKEY& key) {
  char group[64] = {};
  std::size_t length = 0;
  int explicit_parameters = 0;
  const bool named = EVP_PKEY_is_a(&key, "EC") == 1 &&
                     EVP_PKEY_get_group_name(&key, group, sizeof(group), &length) == 1 &&
                     absl::string_view(group, length) == SN_X9_62_prime256v1;
  EVP_PKEY_get_int_param(&key, OSSL_PKEY_PARAM_EC_DECODED_FROM_EXPLICIT_PARAMS,
                         &explicit_parameters);
  if (named && explicit_parameters == 0) return absl::OkStatus();
  ClearErrors();
  return absl::InvalidArgumentError(
      "the key is not accepted: an elliptic-curve key on the named curve P-256 (prime256v1) is "
      "expected");
}

}  // namespace

void FreeKey::operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }

absl::StatusOr<KeyPtr> MakeKey() {
  KeyPtr key(EVP_EC_gen(SN_X9_62_prime256v1));
  if (key == nullptr) return CryptoError("cannot make a P-256 key");
  return key;
}

absl::StatusOr<std::string> PrivateKeyPem(const EVP_PKEY& key) {
  const BioPtr bio(BIO_new(BIO_s_secmem()));
  if (bio == nullptr ||
      PEM_write_bio_PKCS8PrivateKey(bio.get(), &key, nullptr, nullptr, 0, nullptr, nullptr) != 1) {
    return CryptoError("cannot write a private key");
  }
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &text);
  return std::string(text, static_cast<std::size_t>(size));
}

absl::StatusOr<KeyPtr> ReadPrivateKeyPem(absl::string_view pem) {
  if (pem.size() > kMaxPrivateKeyPem) {
    return absl::InvalidArgumentError("the private key is longer than 16 KiB");
  }
  const BioPtr bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  KeyPtr key(bio == nullptr ? nullptr
                            : PEM_read_bio_PrivateKey(bio.get(), nullptr, &NoPassword, nullptr));
  if (key == nullptr) return CryptoError("cannot read a private key (PEM, not encrypted)");
  RETURN_IF_ERROR(RequireP256(*key));
  return key;
}

absl::StatusOr<std::string> PublicKeyDer(const EVP_PKEY& key) {
  unsigned char* der = nullptr;
  const int size = i2d_PUBKEY(&key, &der);
  if (size <= 0) return CryptoError("cannot write a public key");
  std::string bytes(reinterpret_cast<char*>(der), static_cast<std::size_t>(size));
  OPENSSL_free(der);
  return bytes;
}

absl::StatusOr<KeyPtr> ReadPublicKeyDer(absl::string_view der) {
  if (der.size() != kPublicKeySize) {
    return absl::InvalidArgumentError(
        absl::StrCat("the public key has ", der.size(),
                     " bytes: a SubjectPublicKeyInfo of P-256 with an "
                     "uncompressed point has ",
                     kPublicKeySize));
  }
  const unsigned char* at = Bytes(der);
  KeyPtr key(d2i_PUBKEY(nullptr, &at, static_cast<long>(der.size())));
  if (key == nullptr) return CryptoError("cannot read a public key");
  RETURN_IF_ERROR(RequireP256(*key));
  // The SPKI is an identity: one key must not have two spellings.
  ASSIGN_OR_RETURN(const std::string canonical, PublicKeyDer(*key));
  if (canonical != der) return absl::InvalidArgumentError("the public key is not canonical DER");
  return key;
}

absl::StatusOr<std::string> Sign(EVP_PKEY& key, absl::string_view bytes) {
  const DigestPtr context(EVP_MD_CTX_new());
  std::string signature(kMaxSignature, '\0');
  std::size_t size = signature.size();
  if (context == nullptr ||
      EVP_DigestSignInit(context.get(), nullptr, EVP_sha256(), nullptr, &key) != 1 ||
      EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &size,
                     Bytes(bytes), bytes.size()) != 1) {
    return CryptoError("cannot sign");
  }
  signature.resize(size);
  return signature;
}

absl::Status VerifySignature(EVP_PKEY& key, absl::string_view bytes, absl::string_view signature) {
  const DigestPtr context(EVP_MD_CTX_new());
  if (context == nullptr ||
      EVP_DigestVerifyInit(context.get(), nullptr, EVP_sha256(), nullptr, &key) != 1) {
    return CryptoError("cannot verify a signature");
  }
  if (signature.size() <= kMaxSignature &&
      EVP_DigestVerify(context.get(), Bytes(signature), signature.size(), Bytes(bytes),
                       bytes.size()) == 1) {
    return absl::OkStatus();
  }
  ClearErrors();
  return absl::InvalidArgumentError("the signature was not made by this key over these bytes");
}

absl::StatusOr<std::string> MakeCsrDer(EVP_PKEY& key) {
  const RequestPtr request(X509_REQ_new());
  if (request == nullptr || X509_REQ_set_version(request.get(), X509_REQ_VERSION_1) != 1 ||
      X509_REQ_set_pubkey(request.get(), &key) != 1 ||
      X509_REQ_sign(request.get(), &key, EVP_sha256()) <= 0) {
    return CryptoError("cannot make a certificate request");
  }
  unsigned char* der = nullptr;
  const int size = i2d_X509_REQ(request.get(), &der);
  if (size <= 0) return CryptoError("cannot write a certificate request");
  std::string bytes(reinterpret_cast<char*>(der), static_cast<std::size_t>(size));
  OPENSSL_free(der);
  return bytes;
}

absl::StatusOr<KeyPtr> ReadCsrDer(absl::string_view der) {
  if (der.size() > kMaxCsr) {
    return absl::InvalidArgumentError("the certificate request is longer than 8 KiB");
  }
  const unsigned char* at = Bytes(der);
  const RequestPtr request(d2i_X509_REQ(nullptr, &at, static_cast<long>(der.size())));
  if (request == nullptr) return CryptoError("cannot read a certificate request (DER PKCS#10)");
  if (at != Bytes(der) + der.size()) {
    return absl::InvalidArgumentError("there are bytes after the certificate request");
  }
  KeyPtr key(X509_REQ_get_pubkey(request.get()));
  if (key == nullptr) return CryptoError("cannot read the key of a certificate request");
  RETURN_IF_ERROR(RequireP256(*key));
  if (X509_REQ_verify(request.get(), key.get()) != 1) {
    ClearErrors();
    return absl::InvalidArgumentError(
        "the certificate request was not signed by the key that it holds");
  }
  // One spelling of a key, so that one key is never taken for two.
  ASSIGN_OR_RETURN(const std::string public_key, PublicKeyDer(*key));
  return ReadPublicKeyDer(public_key);
}

}  // namespace dumpwarden
