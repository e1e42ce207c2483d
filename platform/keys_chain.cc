// SPDX-License-Identifier: Apache-2.0
// Whether a chain is good and, if not, why (keys.h).  Asked in this order, so
// that the answer does not depend on chance: made by our root, for this
// purpose, valid now, of this name.
#include <openssl/err.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include <cstddef>

#include "platform/keys.h"
#include "platform/keys_error.h"

namespace dumpwarden {
namespace {

constexpr std::size_t kMaxChain = 8;
constexpr int kSecurityLevel = 2;  // 112 bits: no SHA-1, no short keys

struct FreeStore {
  void operator()(X509_STORE* store) const { X509_STORE_free(store); }
};
struct FreeContext {
  void operator()(X509_STORE_CTX* context) const { X509_STORE_CTX_free(context); }
};
struct FreeStack {
  void operator()(STACK_OF(X509) * stack) const { sk_X509_free(stack); }
};
using StorePtr = std::unique_ptr<X509_STORE, FreeStore>;
using StackPtr = std::unique_ptr<STACK_OF(X509), FreeStack>;

StorePtr StoreOf(const std::vector<CertificatePtr>& roots) {
  StorePtr store(X509_STORE_new());
  for (const CertificatePtr& root : roots) {
    if (store == nullptr || X509_STORE_add_cert(store.get(), root.get()) != 1) return nullptr;
  }
  return store;
}

StackPtr Intermediates(const std::vector<CertificatePtr>& chain) {
  StackPtr stack(sk_X509_new_null());
  for (std::size_t i = 1; i < chain.size(); ++i) {
    if (stack == nullptr || sk_X509_push(stack.get(), chain[i].get()) <= 0) return nullptr;
  }
  return stack;
}

// X509_V_OK, or the first error.
int Verify(const std::vector<CertificatePtr>& chain, X509_STORE& store, STACK_OF(X509) & others,
           unsigned long flags, int purpose, absl::Time now) {
  const std::unique_ptr<X509_STORE_CTX, FreeContext> context(X509_STORE_CTX_new());
  if (context == nullptr ||
      X509_STORE_CTX_init(context.get(), &store, chain.front().get(), &others) != 1) {
    return X509_V_ERR_OUT_OF_MEM;
  }
  X509_VERIFY_PARAM* parameters = X509_STORE_CTX_get0_param(context.get());
  X509_VERIFY_PARAM_set_auth_level(parameters, kSecurityLevel);
  X509_VERIFY_PARAM_set_flags(parameters, flags);
  // A set time would switch time checks on again.
  if ((flags & X509_V_FLAG_NO_CHECK_TIME) == 0) {
    X509_VERIFY_PARAM_set_time(parameters, absl::ToTimeT(now));
  }
  if (purpose != 0 && X509_VERIFY_PARAM_set_purpose(parameters, purpose) != 1) {
    return X509_V_ERR_INVALID_PURPOSE;
  }
  if (X509_verify_cert(context.get()) == 1) return X509_V_OK;
  const int error = X509_STORE_CTX_get_error(context.get());
  return error == X509_V_OK ? X509_V_ERR_UNSPECIFIED : error;
}

ChainVerdict VerdictOf(int error) {
  switch (error) {
    case X509_V_OK:
      return ChainVerdict::kGood;
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return ChainVerdict::kExpired;
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return ChainVerdict::kNotYetValid;
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
    case X509_V_ERR_CERT_UNTRUSTED:
    case X509_V_ERR_CERT_REJECTED:
    case X509_V_ERR_SUBJECT_ISSUER_MISMATCH:
    case X509_V_ERR_AKID_SKID_MISMATCH:
      return ChainVerdict::kOtherCa;
    case X509_V_ERR_INVALID_PURPOSE:
      return ChainVerdict::kWrongPurpose;
    default:
      return ChainVerdict::kMalformed;
  }
}

// OpenSSL lets a leaf without extended key usage pass for every purpose; ours always say it.
bool IsFor(X509& leaf, Purpose purpose) {
  const bool says = (X509_get_extension_flags(&leaf) & EXFLAG_XKUSAGE) != 0;
  const std::uint32_t wanted = purpose == Purpose::kServer ? XKU_SSL_SERVER : XKU_SSL_CLIENT;
  return says && (X509_get_extended_key_usage(&leaf) & wanted) != 0;
}

bool HasName(X509& leaf, absl::string_view name) {
  const std::string text(name);
  if (ASN1_OCTET_STRING* address = a2i_IPADDRESS(text.c_str())) {
    const int found = X509_check_ip(&leaf, ASN1_STRING_get0_data(address),
                                    static_cast<std::size_t>(ASN1_STRING_length(address)), 0);
    ASN1_OCTET_STRING_free(address);
    return found == 1;
  }
  ClearErrors();
  return X509_check_host(&leaf, text.data(), text.size(),
                         X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_WILDCARDS,
                         nullptr) == 1;
}

}  // namespace

const char* ChainVerdictWord(ChainVerdict verdict) {
  switch (verdict) {
    case ChainVerdict::kGood:
      return "good";
    case ChainVerdict::kNoCertificate:
      return "no-certificate";
    case ChainVerdict::kExpired:
      return "expired";
    case ChainVerdict::kNotYetValid:
      return "not-yet-valid";
    case ChainVerdict::kOtherCa:
      return "other-ca";
    case ChainVerdict::kWrongPurpose:
      return "wrong-purpose";
    case ChainVerdict::kWrongName:
      return "wrong-name";
    case ChainVerdict::kMalformed:
      return "malformed";
  }
  return "malformed";
}

ChainVerdict VerifyChain(const std::vector<CertificatePtr>& chain,
                         const std::vector<CertificatePtr>& roots, Purpose purpose,
                         absl::string_view name, absl::Time now) {
  if (chain.empty()) return ChainVerdict::kNoCertificate;
  if (chain.size() > kMaxChain) return ChainVerdict::kMalformed;
  const StorePtr store = StoreOf(roots);
  const StackPtr others = Intermediates(chain);
  if (store == nullptr || others == nullptr) return ChainVerdict::kMalformed;
  const int made_by_us = Verify(chain, *store, *others, X509_V_FLAG_NO_CHECK_TIME, 0, now);
  ClearErrors();
  if (made_by_us != X509_V_OK) return VerdictOf(made_by_us);
  X509& leaf = *chain.front();
  if (!IsFor(leaf, purpose)) return ChainVerdict::kWrongPurpose;
  const int wanted =
      purpose == Purpose::kServer ? X509_PURPOSE_SSL_SERVER : X509_PURPOSE_SSL_CLIENT;
  const int valid = Verify(chain, *store, *others, 0, wanted, now);
  ClearErrors();
  if (valid != X509_V_OK) return VerdictOf(valid);
  return name.empty() || HasName(leaf, name) ? ChainVerdict::kGood : ChainVerdict::kWrongName;
}

}  // namespace dumpwarden
