// SPDX-License-Identifier: Apache-2.0
#include "server/identity/certificate_builder.h"

#include <openssl/bn.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "platform/keys_error.h"

namespace dumpwarden {
namespace {

constexpr std::size_t kSerialSize = 20;

struct FreeExtension {
  void operator()(X509_EXTENSION* extension) const { X509_EXTENSION_free(extension); }
};

absl::Status SetSerial(X509& certificate, Random& random) {
  std::string bytes = random.Bytes(kSerialSize);
  // Positive, and of the full length always (RFC 5280: at most 20 bytes).
  bytes[0] = static_cast<char>((bytes[0] & 0x3F) | 0x40);
  const std::unique_ptr<BIGNUM, decltype(&BN_free)> number(
      BN_bin2bn(reinterpret_cast<const unsigned char*>(bytes.data()),
                static_cast<int>(bytes.size()), nullptr),
      &BN_free);
  if (number == nullptr ||
      BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(&certificate)) == nullptr) {
    return CryptoError("cannot set a serial number");
  }
  return absl::OkStatus();
}

absl::Status SetSubject(X509& certificate, const std::string& common_name) {
  if (common_name.empty()) return absl::OkStatus();
  X509_NAME* subject = X509_get_subject_name(&certificate);
  if (X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
                                 reinterpret_cast<const unsigned char*>(common_name.data()),
                                 static_cast<int>(common_name.size()), -1, 0) != 1) {
    return CryptoError("cannot set a subject");
  }
  return absl::OkStatus();
}

absl::Status SetTime(ASN1_TIME* field, absl::Time time) {
  if (ASN1_TIME_set(field, absl::ToTimeT(time)) == nullptr) {
    return CryptoError("cannot set a date");
  }
  return absl::OkStatus();
}

absl::Status AddExtension(X509& certificate, X509V3_CTX& context, const Extension& extension) {
  const std::unique_ptr<X509_EXTENSION, FreeExtension> made(
      X509V3_EXT_conf(nullptr, &context, extension.name, extension.value.c_str()));
  if (made == nullptr || X509_add_ext(&certificate, made.get(), -1) != 1) {
    return CryptoError(absl::StrCat("cannot add ", extension.name));
  }
  return absl::OkStatus();
}

absl::Status AddExtensions(const CertificateText& text, X509& certificate, const X509* issuer) {
  X509V3_CTX context{};
  X509V3_set_ctx(&context, const_cast<X509*>(issuer == nullptr ? &certificate : issuer),
                 &certificate, nullptr, nullptr, 0);
  for (const Extension& extension : text.extensions) {
    RETURN_IF_ERROR(AddExtension(certificate, context, extension));
  }
  RETURN_IF_ERROR(AddExtension(certificate, context, {"subjectKeyIdentifier", "hash"}));
  return AddExtension(certificate, context, {"authorityKeyIdentifier", "keyid:always"});
}

}  // namespace

absl::StatusOr<CertificatePtr> BuildCertificate(const CertificateText& text, EVP_PKEY& key,
                                                const X509* issuer, EVP_PKEY& issuer_key,
                                                Random& random) {
  CertificatePtr certificate(X509_new());
  if (certificate == nullptr || X509_set_version(certificate.get(), X509_VERSION_3) != 1 ||
      X509_set_pubkey(certificate.get(), &key) != 1) {
    return CryptoError("cannot make a certificate");
  }
  RETURN_IF_ERROR(SetSerial(*certificate, random));
  RETURN_IF_ERROR(SetSubject(*certificate, text.common_name));
  RETURN_IF_ERROR(SetTime(X509_getm_notBefore(certificate.get()), text.not_before));
  RETURN_IF_ERROR(SetTime(X509_getm_notAfter(certificate.get()), text.not_after));
  const X509_NAME* issuer_name =
      X509_get_subject_name(issuer == nullptr ? certificate.get() : issuer);
  if (X509_set_issuer_name(certificate.get(), issuer_name) != 1) {
    return CryptoError("cannot set an issuer");
  }
  RETURN_IF_ERROR(AddExtensions(text, *certificate, issuer));
  if (X509_sign(certificate.get(), &issuer_key, EVP_sha256()) <= 0) {
    return CryptoError("cannot sign a certificate");
  }
  return certificate;
}

}  // namespace dumpwarden
