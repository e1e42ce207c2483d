// SPDX-License-Identifier: Apache-2.0
// Policies as operators change them: read strictly, held against every known
// host before anything is written, then pushed.  Planning and explaining, which
// write nothing, are in planning.h.
#ifndef DUMPWARDEN_SERVER_FLEET_POLICIES_H_
#define DUMPWARDEN_SERVER_FLEET_POLICIES_H_

#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/policy/merge.h"
#include "dumpwarden/v1/admin.pb.h"
#include "google/protobuf/repeated_ptr_field.h"
#include "server/actor.h"
#include "server/fleet/fleet.h"
#include "server/store/store.h"

namespace dumpwarden {

using PolicySources = google::protobuf::RepeatedPtrField<v1::PolicySource>;

struct Draft {
  std::string file;
  std::string yaml;
  std::string digest;
  Policy policy;
};

// kInvalidArgument with every problem of every file, a line each; the same name twice is one.
absl::StatusOr<std::vector<Draft>> ReadDrafts(const PolicySources& sources);

// The policies in force as read, by name.
using PoliciesByName = std::map<std::string, PolicyInForce>;
absl::StatusOr<PoliciesByName> ReadInForce(const std::vector<PolicyRow>& rows);
PoliciesByName WithDrafts(PoliciesByName policies, const std::vector<Draft>& drafts);
std::vector<PolicyInForce> AsList(const PoliciesByName& policies);

class Policies {
 public:
  // Both must outlive this.
  Policies(Store& store, Fleet& fleet) : store_(store), fleet_(fleet) {}

  // kAborted when a known host would have a conflict that it has not now.
  absl::StatusOr<v1::ApplyPoliciesResponse> Apply(const v1::ApplyPoliciesRequest& request,
                                                  const Actor& actor);
  absl::StatusOr<v1::DeletePolicyResponse> Delete(const v1::DeletePolicyRequest& request,
                                                  const Actor& actor);
  absl::StatusOr<v1::ListPoliciesResponse> List();
  absl::StatusOr<v1::GetPolicyResponse> Get(const v1::GetPolicyRequest& request);

 private:
  // kAborted for a conflict on a known host that is new, or that a changed policy has a part in.
  absl::Status CheckConflicts(const PoliciesByName& before, const PoliciesByName& after,
                              const std::set<std::string>& changed);

  Store& store_;
  Fleet& fleet_;
  std::mutex changing_;  // what was checked is what is written
};

}  // namespace dumpwarden

#endif  // DUMPWARDEN_SERVER_FLEET_POLICIES_H_
