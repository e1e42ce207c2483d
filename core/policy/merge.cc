// SPDX-License-Identifier: Apache-2.0
#include "core/policy/merge.h"

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/text.h"
#include "core/catalog/catalog.h"
#include "core/policy/facts.h"

namespace dumpwarden {
namespace {

struct Overlay {
  std::vector<Layer> layers;
  std::set<std::string> unknown;  // values that the table does not accept
};

// By setting, enforced before audited.
using Overlays = std::map<std::pair<std::string, v1::Mode>, Overlay>;

Layer LayerOf(const PolicyInForce& in_force, const DesiredValue& value) {
  const Policy& policy = in_force.policy;
  return {policy.name, in_force.version, policy.priority, policy.mode, value.value, false, ""};
}

// A total order over what a layer says, so that the order of the input cannot show.
bool Outranks(const Layer& a, const Layer& b) {
  return std::tie(b.priority, a.policy, a.version, a.value) <
         std::tie(a.priority, b.policy, b.version, b.value);
}

// What a value comes to on the host; as it is spelled where that cannot be told.
std::string OnHost(const std::string& setting, const std::string& value, const v1::Facts& facts) {
  const Setting* row = FindSetting(setting);
  if (row == nullptr) return value;
  return Resolve(*row, value, RamOf(facts)).value_or(value);
}

// Without case, because the only canonical values that could differ by case
// alone are Windows paths.
bool Agree(const std::string& setting, const std::string& a, const std::string& b,
           const v1::Facts& facts) {
  return EqualsIgnoreCase(a, b) ||
         EqualsIgnoreCase(OnHost(setting, a, facts), OnHost(setting, b, facts));
}

// The names of the layers that share the highest priority, when they differ.
std::vector<std::string> ConflictOf(const std::string& setting, const std::vector<Layer>& layers,
                                    std::size_t top, const v1::Facts& facts) {
  std::vector<std::string> names;
  bool differ = false;
  for (std::size_t i = 0; i < top; ++i) {
    if (names.empty() || names.back() != layers[i].policy) names.push_back(layers[i].policy);
    differ = differ || !Agree(setting, layers[i].value, layers[0].value, facts);
  }
  return differ ? names : std::vector<std::string>{};
}

// `layers` are in order of rank; the first `top` share the highest priority.
void SayWhy(std::vector<Layer>& layers, std::size_t top, const std::vector<std::string>& conflict) {
  for (std::size_t i = 0; i < layers.size(); ++i) {
    Layer& layer = layers[i];
    layer.won = i == 0 && conflict.empty();
    if (i >= top) {
      layer.why = absl::StrCat("lower priority than ", layers[0].policy);
    } else if (!conflict.empty()) {
      layer.why = absl::StrCat("conflict: ", absl::StrJoin(conflict, ", "));
    } else if (i > 0) {
      layer.why = absl::StrCat("same value as ", layers[0].policy);
    } else {
      layer.why = layers.size() == 1 ? "the only policy that sets it" : "highest priority";
    }
  }
}

Decision Decide(const std::string& setting, v1::Mode mode, Overlay overlay,
                const v1::Facts& facts) {
  std::vector<Layer>& layers = overlay.layers;
  std::sort(layers.begin(), layers.end(), Outranks);
  const std::int32_t highest = layers.front().priority;
  const auto top = static_cast<std::size_t>(
      std::count_if(layers.begin(), layers.end(),
                    [highest](const Layer& layer) { return layer.priority == highest; }));
  Decision decision;
  decision.setting = setting;
  decision.mode = mode;
  decision.known = std::none_of(
      layers.begin(), layers.begin() + static_cast<std::ptrdiff_t>(top),
      [&overlay](const Layer& layer) { return overlay.unknown.count(layer.value) != 0; });
  decision.conflict = ConflictOf(setting, layers, top, facts);
  SayWhy(layers, top, decision.conflict);
  if (decision.conflict.empty()) {
    decision.value = layers.front().value;
    decision.policy = layers.front().policy;
    decision.version = layers.front().version;
  }
  decision.layers = std::move(layers);
  return decision;
}

}  // namespace

Desired Merge(std::span<const PolicyInForce> policies, const v1::Facts& facts) {
  Overlays overlays;
  for (const PolicyInForce& in_force : policies) {
    if (!Matches(in_force.policy.selector, facts)) continue;
    for (const DesiredValue& value : in_force.policy.settings) {
      Overlay& overlay = overlays[{value.setting, in_force.policy.mode}];
      overlay.layers.push_back(LayerOf(in_force, value));
      if (!value.known) overlay.unknown.insert(value.value);
    }
  }
  Desired desired;
  for (auto& entry : overlays) {
    desired.decisions.push_back(
        Decide(entry.first.first, entry.first.second, std::move(entry.second), facts));
  }
  return desired;
}

std::vector<Layer> ExplainSetting(std::span<const PolicyInForce> policies, const v1::Facts& facts,
                                  absl::string_view setting) {
  std::vector<Layer> layers;
  for (Decision& decision : Merge(policies, facts).decisions) {
    if (decision.setting != setting) continue;
    std::move(decision.layers.begin(), decision.layers.end(), std::back_inserter(layers));
  }
  std::vector<Layer> unselected;
  for (const PolicyInForce& in_force : policies) {
    const std::string why = WhyNot(in_force.policy.selector, facts);
    if (why.empty()) continue;
    for (const DesiredValue& value : in_force.policy.settings) {
      if (value.setting != setting) continue;
      unselected.push_back(LayerOf(in_force, value));
      unselected.back().why = absl::StrCat("selector: ", why);
    }
  }
  std::sort(unselected.begin(), unselected.end(), Outranks);
  std::move(unselected.begin(), unselected.end(), std::back_inserter(layers));
  return layers;
}

}  // namespace dumpwarden
