// SPDX-License-Identifier: Apache-2.0
// Keys and requests: what is read back is what was written, and what is not
// ours (RSA, other curves, a broken proof) is refused.
#include "platform/keys.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "tests/support/status_matchers.h"

namespace dumpwarden {
namespace {

using testing::HasSubstr;

std::string RequestDer(EVP_PKEY* holds, EVP_PKEY* signs) {
  X509_REQ* request = X509_REQ_new();
  X509_REQ_set_version(request, 0);
  X509_REQ_set_pubkey(request, holds);
  X509_REQ_sign(request, signs, EVP_sha256());
  unsigned char* der = nullptr;
  const int size = i2d_X509_REQ(request, &der);
  std::string bytes(reinterpret_cast<char*>(der), static_cast<std::size_t>(size));
  OPENSSL_free(der);
  X509_REQ_free(request);
  return bytes;
}

std::string KeyPem(EVP_PKEY* key, const char* password = nullptr) {
  BIO* bio = BIO_new(BIO_s_mem());
  PEM_write_bio_PKCS8PrivateKey(bio, key, password == nullptr ? nullptr : EVP_aes_256_cbc(),
                                password, password == nullptr ? 0 : 4, nullptr, nullptr);
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio, &text);
  std::string pem(text, static_cast<std::size_t>(size));
  BIO_free(bio);
  return pem;
}

KeyPtr ExplicitKey() {
  EVP_PKEY_CTX* context = EVP_PKEY_CTX_new_from_name(nullptr, "EC", nullptr);
  EVP_PKEY_keygen_init(context);
  EVP_PKEY_CTX_set_group_name(context, "prime256v1");
  char encoding[] = "explicit";
  OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_EC_ENCODING, encoding, 0),
      OSSL_PARAM_construct_end()};
  EVP_PKEY_CTX_set_params(context, parameters);
  EVP_PKEY* key = nullptr;
  EVP_PKEY_generate(context, &key);
  EVP_PKEY_CTX_free(context);
  return KeyPtr(key);
}

TEST(Keys, ReadBackWhatWasWritten) {
  ASSERT_OK_AND_ASSIGN(const KeyPtr key, MakeKey());
  ASSERT_OK_AND_ASSIGN(const std::string pem, PrivateKeyPem(*key));
  ASSERT_OK_AND_ASSIGN(const KeyPtr again, ReadPrivateKeyPem(pem));
  EXPECT_EQ(*PublicKeyDer(*key), *PublicKeyDer(*again));
  ASSERT_OK_AND_ASSIGN(const KeyPtr half, ReadPublicKeyDer(*PublicKeyDer(*key)));
  EXPECT_EQ(*PublicKeyDer(*half), *PublicKeyDer(*key));
}

TEST(Keys, SignWhatOnlyTheirOwnVerifies) {
  ASSERT_OK_AND_ASSIGN(const KeyPtr key, MakeKey());
  ASSERT_OK_AND_ASSIGN(const KeyPtr other, MakeKey());
  ASSERT_OK_AND_ASSIGN(const std::string signature, Sign(*key, "order"));
  EXPECT_THAT(VerifySignature(*key, "order", signature), IsOk());
  EXPECT_FALSE(VerifySignature(*key, "ordeR", signature).ok());
  EXPECT_FALSE(VerifySignature(*other, "order", signature).ok());
  EXPECT_FALSE(VerifySignature(*key, "order", "").ok());
  EXPECT_FALSE(VerifySignature(*key, "order", signature + std::string(100, 'x')).ok());
}

TEST(Keys, TakeTheKeyOfARequestWithItsProof) {
  ASSERT_OK_AND_ASSIGN(const KeyPtr key, MakeKey());
  ASSERT_OK_AND_ASSIGN(const std::string csr, MakeCsrDer(*key));
  ASSERT_OK_AND_ASSIGN(const KeyPtr read, ReadCsrDer(csr));
  EXPECT_EQ(*PublicKeyDer(*read), *PublicKeyDer(*key));
}

TEST(Keys, RefuseRequestsThatAreNotOurs) {
  const KeyPtr p256 = MakeKey().value();
  const KeyPtr other(EVP_EC_gen("P-256"));
  const KeyPtr p384(EVP_EC_gen("P-384"));
  const KeyPtr rsa(EVP_RSA_gen(2048));
  const KeyPtr unnamed = ExplicitKey();
  const std::string good = RequestDer(p256.get(), p256.get());
  const struct {
    std::string der;
    const char* why;
    const char* message;
  } kCases[] = {
      {RequestDer(rsa.get(), rsa.get()), "RSA", "P-256"},
      {RequestDer(p384.get(), p384.get()), "another curve", "P-256"},
      {RequestDer(unnamed.get(), unnamed.get()), "explicit parameters", "P-256"},
      {RequestDer(p256.get(), other.get()), "signed by another key", "was not signed"},
      {good + "x", "trailing bytes", "bytes after"},
      {good.substr(0, good.size() - 1), "cut short", "cannot read"},
      {"", "empty", "cannot read"},
      {std::string(9000, '0'), "too long", "8 KiB"},
  };
  for (const auto& c : kCases) {
    EXPECT_THAT(ReadCsrDer(c.der),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(c.message)))
        << c.why;
  }
}

TEST(Keys, RefusePublicKeysWithASecondSpelling) {
  const KeyPtr key = MakeKey().value();
  const std::string der = PublicKeyDer(*key).value();
  EXPECT_FALSE(ReadPublicKeyDer(der + "x").ok());
  EXPECT_FALSE(ReadPublicKeyDer("").ok());
  EXPECT_FALSE(ReadPublicKeyDer(std::string(91, 'x')).ok());
  ASSERT_EQ(EVP_PKEY_set_utf8_string_param(key.get(), OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT,
                                           "compressed"),
            1);
  EXPECT_FALSE(ReadPublicKeyDer(PublicKeyDer(*key).value()).ok()) << "compressed point";
  EXPECT_FALSE(ReadPublicKeyDer(PublicKeyDer(*KeyPtr(EVP_EC_gen("P-384"))).value()).ok());
}

TEST(Keys, RefusePrivateKeysThatAreEncryptedOrForeign) {
  const KeyPtr key = MakeKey().value();
  const KeyPtr rsa(EVP_RSA_gen(2048));
  EXPECT_THAT(ReadPrivateKeyPem(KeyPem(key.get(), "pass")),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("not encrypted")));
  EXPECT_THAT(ReadPrivateKeyPem(KeyPem(rsa.get())),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("P-256")));
  EXPECT_FALSE(ReadPrivateKeyPem("").ok());
  EXPECT_FALSE(ReadPrivateKeyPem(std::string(20000, 'x')).ok());
}

TEST(Certificates, RefuseGarbageAndExcess) {
  EXPECT_FALSE(ReadCertificateDer("").ok());
  EXPECT_FALSE(ReadCertificateDer(std::string(20000, '0')).ok());
  EXPECT_FALSE(ReadCertificatesPem("").ok());
  EXPECT_FALSE(ReadCertificatesPem("-----BEGIN CERTIFICATE-----\nAAAA\n").ok());
}

}  // namespace
}  // namespace dumpwarden
