// SPDX-License-Identifier: Apache-2.0
// How much policy there may be: at each limit, one above it, and a hundred
// times.  What is refused leaves what is in force as it was.
#include "core/policy/policy.h"
#include "core/policy/policy_set.h"
#include "server/fleet/policies.h"
#include "tests/server/fleet/fleet_rig.h"

namespace dumpwarden {
namespace {

using testing::HasSubstr;

constexpr std::size_t kDocument = 256 * 1024;

// Of exactly so many bytes; a comment fills it.
std::string PolicyOf(const std::string& name, std::size_t bytes) {
  std::string yaml =
      absl::StrCat("apiVersion: dumpwarden/v1\nkind: DumpPolicy\nmetadata: { name: ", name,
                   " }\nspec: { settings: { dump.auto-reboot: on } }\n#");
  EXPECT_LE(yaml.size(), bytes);
  while (yaml.size() < bytes) {
    yaml.append(std::min<std::size_t>(bytes - yaml.size(), 79), 'x');
    if (bytes - yaml.size() > 2) yaml.append("\n#");
  }
  return yaml;
}

class PolicyCaps : public FleetRig {
 protected:
  void SetUp() override {
    FleetRig::SetUp();
    policies_ = std::make_unique<Policies>(*store_, *fleet_);
    ASSERT_THAT(Apply({PolicyOf("first", 200)}), IsOk());
  }
  absl::Status Apply(const std::vector<std::string>& yamls) {
    v1::ApplyPoliciesRequest request;
    for (const std::string& yaml : yamls) request.add_policies()->set_yaml(yaml);
    return policies_->Apply(request, {"alice", ""}).status();
  }
  std::size_t InForce() { return store_->PoliciesInForce()->size(); }

  std::unique_ptr<Policies> policies_;
};

TEST_F(PolicyCaps, DocumentHasAtMost256Kibibytes) {
  EXPECT_THAT(Apply({PolicyOf("big", kDocument)}), IsOk());
  for (const std::size_t bytes : {kDocument + 1, 100 * kDocument}) {
    EXPECT_THAT(Apply({PolicyOf("bigger", bytes)}),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("262144")))
        << bytes;
    EXPECT_EQ(InForce(), 2u);
  }
}

TEST_F(PolicyCaps, AThousandAreInForceAtMost) {
  std::vector<std::string> yamls;
  for (int i = 0; i < 999; ++i) yamls.push_back(PolicyOf(absl::StrCat("p", i), 200));
  ASSERT_THAT(Apply(yamls), IsOk());
  ASSERT_EQ(InForce(), 1000u);
  EXPECT_THAT(Apply({PolicyOf("one-more", 200)}),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("1000")));
  EXPECT_THAT(Apply(std::vector<std::string>(1001, yamls[0])),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("at most 1000")));
  EXPECT_THAT(Apply(std::vector<std::string>(100'000, yamls[0])),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("at most 1000")));
  EXPECT_EQ(InForce(), 1000u);
}

TEST_F(PolicyCaps, FourMebibytesAreInForceAtMost) {
  std::vector<std::string> yamls;
  for (int i = 0; i < 15; ++i) yamls.push_back(PolicyOf(absl::StrCat("p", i), kDocument));
  yamls.push_back(PolicyOf("last", kDocument - 200));
  ASSERT_THAT(Apply(yamls), IsOk()) << "with the first, 4 MiB to the byte";
  EXPECT_THAT(Apply({PolicyOf("first", 201)}),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("4194305")));
  // A hundred times does not come through the listener: it takes 5 MiB.
  for (int i = 15; i < 30; ++i) yamls.push_back(PolicyOf(absl::StrCat("p", i), kDocument));
  EXPECT_THAT(Apply(yamls), StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("4194304")));
  EXPECT_EQ(InForce(), 17u);
  std::size_t bytes = 0;
  const std::vector<PolicyRow> in_force = store_->PoliciesInForce().value();
  for (const PolicyRow& row : in_force) bytes += row.yaml.size();
  EXPECT_EQ(bytes, kMaxPolicySetBytes);
}

}  // namespace
}  // namespace dumpwarden
