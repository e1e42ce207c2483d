// SPDX-License-Identifier: Apache-2.0
// Keys, certificate requests and certificates (P-256, PEM and DER), as both
// ends need them.  Making certificates is server/identity's.
#ifndef DUMPWARDEN_PLATFORM_KEYS_H_
#define DUMPWARDEN_PLATFORM_KEYS_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

typedef struct evp_pkey_st EVP_PKEY;
typedef struct x509_st X509;

namespace dumpwarden {

struct FreeKey {
  void operator()(EVP_PKEY* key) const;
};
struct FreeCertificate {
  void operator()(X509* certificate) const;
};
using KeyPtr = std::unique_ptr<EVP_PKEY, FreeKey>;
using CertificatePtr = std::unique_ptr<X509, FreeCertificate>;

absl::StatusOr<KeyPtr> MakeKey();  // P-256
absl::StatusOr<std::string> PrivateKeyPem(const EVP_PKEY& key);
absl::StatusOr<KeyPtr> ReadPrivateKeyPem(absl::string_view pem);
absl::StatusOr<std::string> PublicKeyDer(const EVP_PKEY& key);   // SubjectPublicKeyInfo
absl::StatusOr<KeyPtr> ReadPublicKeyDer(absl::string_view der);  // P-256 only
// ECDSA P-256 over SHA-256, DER signature.
absl::StatusOr<std::string> Sign(EVP_PKEY& key, absl::string_view bytes);
absl::Status VerifySignature(EVP_PKEY& key, absl::string_view bytes, absl::string_view signature);

// A PKCS#10 request with nothing but the public key and its proof.
absl::StatusOr<std::string> MakeCsrDer(EVP_PKEY& key);
// The public key of a request whose proof holds; all else in it is ignored.  At most 8 KiB; P-256
// only.
absl::StatusOr<KeyPtr> ReadCsrDer(absl::string_view der);

// A host's certificate that expired no longer ago can still ask for another one.
inline constexpr absl::Duration kLateRenewal = absl::Hours(90 * 24);

absl::StatusOr<CertificatePtr> ReadCertificateDer(absl::string_view der);
absl::StatusOr<std::vector<CertificatePtr>> ReadCertificatesPem(
    absl::string_view pem);  // at most 8
absl::StatusOr<std::string> CertificateDer(const X509& certificate);
absl::StatusOr<std::string> CertificatePem(const X509& certificate);
// The SubjectPublicKeyInfo that the certificate is for: compare with PublicKeyDer.
absl::StatusOr<std::string> CertificateKeyDer(const X509& certificate);

// That nobody but its owner can reach a file with a key, or the folder of such files.
// kFailedPrecondition says the mode found, the one accepted and how to mend it.  Absent is not an
// error: who reads the file says that.
absl::Status CheckPrivate(const std::string& path);
// That nobody but its owner can put another file into the folder.
absl::Status CheckOnlyOwnerWrites(const std::string& folder);

struct CertificateSummary {
  std::string spiffe_id;           // the one URI SAN, or ""
  std::vector<std::string> names;  // DNS names and addresses, safe to print
  std::string common_name;
  std::string issuer;  // its common name
  std::string serial;  // lower-case hex
  absl::Time not_before;
  absl::Time not_after;
};
absl::StatusOr<CertificateSummary> Summarize(const X509& certificate);

enum class Purpose { kClient, kServer };

// Why a chain is not good, so that both ends can say it and count it.
enum class ChainVerdict {
  kGood,
  kNoCertificate,
  kExpired,
  kNotYetValid,
  kOtherCa,
  kWrongPurpose,
  kWrongName,
  kMalformed,
};
const char* ChainVerdictWord(ChainVerdict verdict);  // "expired", "other-ca", ...

// Leaf first.  `name`: DNS name or address that a server's leaf must hold; empty = not asked.
ChainVerdict VerifyChain(const std::vector<CertificatePtr>& chain,
                         const std::vector<CertificatePtr>& roots, Purpose purpose,
                         absl::string_view name, absl::Time now);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_PLATFORM_KEYS_H_
