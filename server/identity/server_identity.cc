// SPDX-License-Identifier: Apache-2.0
#include "server/identity/server_identity.h"

#include <algorithm>

#include "core/base/status_macros.h"
#include "platform/keys.h"

namespace dumpwarden {
namespace {

constexpr absl::Duration kServerLife = absl::Hours(24 * 365);
constexpr std::size_t kMaxPemBytes = 64 * 1024;

absl::Status WriteChain(Vfs& vfs, Authority& authority, EVP_PKEY& key,
                        const ServerIdentityFiles& files, const std::vector<std::string>& names,
                        absl::Time now) {
  ASSIGN_OR_RETURN(const Issued issued, authority.IssueServer(key, names, now, kServerLife));
  return WriteDurably(vfs, files.chain, issued.chain_pem);
}

// Good for every name, now and for a good while.
absl::StatusOr<bool> IsFresh(const std::string& chain_pem, const Authority& authority,
                             const std::vector<std::string>& names, absl::Time now) {
  ASSIGN_OR_RETURN(const auto chain, ReadCertificatesPem(chain_pem));
  ASSIGN_OR_RETURN(const auto roots, ReadCertificatesPem(authority.root_pem()));
  if (chain.empty()) return false;
  ASSIGN_OR_RETURN(const CertificateSummary leaf, Summarize(*chain.front()));
  if (leaf.not_after - now < kServerLife / 4) return false;
  return std::all_of(names.begin(), names.end(), [&](const std::string& name) {
    return VerifyChain(chain, roots, Purpose::kServer, name, now) == ChainVerdict::kGood;
  });
}

}  // namespace

absl::Status MakeServerIdentity(Vfs& vfs, Authority& authority, const ServerIdentityFiles& files,
                                const std::vector<std::string>& names, absl::Time now) {
  ASSIGN_OR_RETURN(const KeyPtr key, MakeKey());
  ASSIGN_OR_RETURN(const std::string pem, PrivateKeyPem(*key));
  RETURN_IF_ERROR(WriteDurably(vfs, files.key, pem));
  return WriteChain(vfs, authority, *key, files, names, now);
}

absl::StatusOr<absl::Time> RefreshServerIdentity(Vfs& vfs, Authority& authority,
                                                 const ServerIdentityFiles& files,
                                                 const std::vector<std::string>& names,
                                                 absl::Time now) {
  RETURN_IF_ERROR(CheckPrivate(files.key));
  ASSIGN_OR_RETURN(const std::string key_pem, vfs.Read(files.key, kMaxPemBytes));
  ASSIGN_OR_RETURN(const KeyPtr key, ReadPrivateKeyPem(key_pem));
  ASSIGN_OR_RETURN(std::string chain_pem, vfs.Read(files.chain, kMaxPemBytes));
  ASSIGN_OR_RETURN(const bool fresh, IsFresh(chain_pem, authority, names, now));
  if (!fresh) {
    RETURN_IF_ERROR(WriteChain(vfs, authority, *key, files, names, now));
    ASSIGN_OR_RETURN(chain_pem, vfs.Read(files.chain, kMaxPemBytes));
  }
  ASSIGN_OR_RETURN(const auto chain, ReadCertificatesPem(chain_pem));
  ASSIGN_OR_RETURN(const CertificateSummary leaf, Summarize(*chain.front()));
  return leaf.not_after;
}

}  // namespace dumpwarden
