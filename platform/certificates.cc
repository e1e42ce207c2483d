// SPDX-License-Identifier: Apache-2.0
// Reading, writing and summing up certificates (keys.h).
#include <arpa/inet.h>
#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <cstddef>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/time/civil_time.h"
#include "core/base/status_macros.h"
#include "core/base/text.h"
#include "platform/keys.h"
#include "platform/keys_error.h"

namespace dumpwarden {
namespace {

constexpr std::size_t kMaxCertificate = 16 * 1024;
constexpr std::size_t kMaxCertificates = 8;
constexpr std::size_t kMaxPem = kMaxCertificates * kMaxCertificate * 2;

struct FreeBio {
  void operator()(BIO* bio) const { BIO_free_all(bio); }
};
using BioPtr = std::unique_ptr<BIO, FreeBio>;

struct FreeNames {
  void operator()(GENERAL_NAMES* names) const { GENERAL_NAMES_free(names); }
};

std::string TextOf(const ASN1_STRING& text) {
  return std::string(reinterpret_cast<const char*>(ASN1_STRING_get0_data(&text)),
                     static_cast<std::size_t>(ASN1_STRING_length(&text)));
}

absl::StatusOr<std::string> SpiffeId(const X509& certificate) {
  const std::unique_ptr<GENERAL_NAMES, FreeNames> names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(&certificate, NID_subject_alt_name, nullptr, nullptr)));
  std::string id;
  for (int i = 0; names != nullptr && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type != GEN_URI) continue;
    if (!id.empty()) return absl::InvalidArgumentError("the certificate has two URI names");
    id = TextOf(*name->d.uniformResourceIdentifier);
    for (const char c : id) {
      if (c <= ' ' || c > '~') {
        return absl::InvalidArgumentError("the certificate's URI name is not printable ASCII");
      }
    }
  }
  return id;
}

std::string AddressText(const ASN1_STRING& address) {
  char text[INET6_ADDRSTRLEN] = {};
  const int size = ASN1_STRING_length(&address);
  if (size != 4 && size != 16) return "";
  inet_ntop(size == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(&address), text, sizeof text);
  return text;
}

std::vector<std::string> ServerNames(const X509& certificate) {
  const std::unique_ptr<GENERAL_NAMES, FreeNames> names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(&certificate, NID_subject_alt_name, nullptr, nullptr)));
  std::vector<std::string> texts;
  for (int i = 0; names != nullptr && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type == GEN_DNS) texts.push_back(Printable(TextOf(*name->d.dNSName)));
    if (name->type == GEN_IPADD) texts.push_back(AddressText(*name->d.iPAddress));
  }
  return texts;
}

std::string CommonName(const X509_NAME* name) {
  const int index = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
  if (index < 0) return "";
  return TextOf(*X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, index)));
}

absl::StatusOr<std::string> Serial(const X509& certificate) {
  const std::unique_ptr<BIGNUM, decltype(&BN_free)> number(
      ASN1_INTEGER_to_BN(X509_get0_serialNumber(&certificate), nullptr), &BN_free);
  if (number == nullptr) return CryptoError("cannot read a certificate's serial number");
  char* hex = BN_bn2hex(number.get());
  if (hex == nullptr) return CryptoError("cannot read a certificate's serial number");
  std::string text = absl::AsciiStrToLower(hex);
  OPENSSL_free(hex);
  return text;
}

absl::StatusOr<absl::Time> TimeOf(const ASN1_TIME* time) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return CryptoError("cannot read a certificate's date");
  return absl::FromCivil(absl::CivilSecond(parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday,
                                           parts.tm_hour, parts.tm_min, parts.tm_sec),
                         absl::UTCTimeZone());
}

}  // namespace

void FreeCertificate::operator()(X509* certificate) const { X509_free(certificate); }

absl::StatusOr<CertificatePtr> ReadCertificateDer(absl::string_view der) {
  if (der.size() > kMaxCertificate) {
    return absl::InvalidArgumentError("the certificate is longer than 16 KiB");
  }
  const auto* begin = reinterpret_cast<const unsigned char*>(der.data());
  const unsigned char* at = begin;
  CertificatePtr certificate(d2i_X509(nullptr, &at, static_cast<long>(der.size())));
  if (certificate == nullptr) return CryptoError("cannot read a certificate (DER)");
  if (at != begin + der.size()) {
    return absl::InvalidArgumentError("there are bytes after the certificate");
  }
  return certificate;
}

absl::StatusOr<std::vector<CertificatePtr>> ReadCertificatesPem(absl::string_view pem) {
  if (pem.size() > kMaxPem) {
    return absl::InvalidArgumentError("the certificates are longer than 256 KiB");
  }
  const BioPtr bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  if (bio == nullptr) return CryptoError("cannot read certificates");
  std::vector<CertificatePtr> certificates;
  while (X509* next = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)) {
    certificates.emplace_back(next);
    if (certificates.size() > kMaxCertificates) {
      return absl::InvalidArgumentError("there are more than 8 certificates");
    }
  }
  // The end of the text looks like a missing BEGIN line; all else is damage.
  const bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  if (!at_end || certificates.empty()) {
    return CryptoError(certificates.empty() ? "there is no certificate (PEM)"
                                            : "cannot read a certificate (PEM)");
  }
  ClearErrors();
  return certificates;
}

absl::StatusOr<std::string> CertificateDer(const X509& certificate) {
  unsigned char* der = nullptr;
  const int size = i2d_X509(&certificate, &der);
  if (size <= 0) return CryptoError("cannot write a certificate");
  std::string bytes(reinterpret_cast<char*>(der), static_cast<std::size_t>(size));
  OPENSSL_free(der);
  return bytes;
}

absl::StatusOr<std::string> CertificatePem(const X509& certificate) {
  const BioPtr bio(BIO_new(BIO_s_mem()));
  if (bio == nullptr || PEM_write_bio_X509(bio.get(), &certificate) != 1) {
    return CryptoError("cannot write a certificate");
  }
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &text);
  return std::string(text, static_cast<std::size_t>(size));
}

absl::StatusOr<std::string> CertificateKeyDer(const X509& certificate) {
  EVP_PKEY* key = X509_get0_pubkey(&certificate);
  if (key == nullptr) return CryptoError("cannot read a certificate's key");
  return PublicKeyDer(*key);
}

absl::StatusOr<CertificateSummary> Summarize(const X509& certificate) {
  CertificateSummary summary;
  ASSIGN_OR_RETURN(summary.spiffe_id, SpiffeId(certificate));
  summary.names = ServerNames(certificate);
  summary.common_name = CommonName(X509_get_subject_name(&certificate));
  summary.issuer = CommonName(X509_get_issuer_name(&certificate));
  ASSIGN_OR_RETURN(summary.serial, Serial(certificate));
  ASSIGN_OR_RETURN(summary.not_before, TimeOf(X509_get0_notBefore(&certificate)));
  ASSIGN_OR_RETURN(summary.not_after, TimeOf(X509_get0_notAfter(&certificate)));
  return summary;
}

}  // namespace dumpwarden
