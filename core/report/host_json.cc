// SPDX-License-Identifier: Apache-2.0
#include "core/report/host_json.h"

#include <map>

namespace dumpwarden {

Json HostToJson(const HostContext& host) {
  Json json = Json::object();
  json["registry"] = host.registry;
  const v1::Facts& facts = host.facts;
  if (facts.os().build() != 0) json["os"]["build"] = facts.os().build();
  if (!facts.os().product().empty()) json["os"]["product"] = facts.os().product();
  if (facts.memory().bytes() != 0) json["memory"]["bytes"] = facts.memory().bytes();
  if (!facts.labels().empty()) {
    json["labels"] =
        std::map<std::string, std::string>(facts.labels().begin(), facts.labels().end());
  }
  json["warnings"] = host.warnings;
  return json;
}

}  // namespace dumpwarden
