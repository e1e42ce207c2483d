// SPDX-License-Identifier: Apache-2.0
// Which hosts a policy is for: a Kubernetes-like selector over labels and
// facts.  No selector, or an empty one, is every host.
#ifndef DUMPWARDEN_CORE_POLICY_SELECTOR_H_
#define DUMPWARDEN_CORE_POLICY_SELECTOR_H_

#include <string>
#include <utility>
#include <vector>

#include "core/base/problems.h"
#include "core/base/yaml.h"
#include "dumpwarden/v1/report.pb.h"

namespace dumpwarden {

struct Requirement {
  enum class Operator { kIn, kNotIn, kExists, kDoesNotExist, kGt, kGte, kLt, kLte };
  std::string key;
  Operator op = Operator::kExists;
  std::vector<std::string> values;
};

struct Selector {
  std::vector<Requirement> requirements;  // all must hold; matchLabels are kIn with one value
};

// What to do with a key such as os.bild, which names a fact that this program does not know.
enum class UnknownFacts {
  kRefuse,  // where people write policies
  kKeep,    // on an agent that is older than the policy: such a fact does not exist
};

Selector ReadSelector(const yaml::Node& node, absl::string_view path, Problems& problems,
                      UnknownFacts unknown = UnknownFacts::kRefuse);

// What selectors may ask: facts by name (os.build, os.product, memory.bytes), the rest labels.
// An unknown fact does not exist: In, Gt, ... are false, NotIn and DoesNotExist true.
bool Matches(const Selector& selector, const v1::Facts& facts);

// The first requirement that does not hold, for explain ("role In (sql): role is web"); "" when all
// do.
std::string WhyNot(const Selector& selector, const v1::Facts& facts);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_CORE_POLICY_SELECTOR_H_
