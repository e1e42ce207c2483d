// SPDX-License-Identifier: Apache-2.0
// dumpctl.yaml: the current context, if any, is one of those that are there.
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "cli/contexts.h"
#include "tests/fuzz/check.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const absl::string_view yaml(reinterpret_cast<const char*>(data), size);
  const auto config = dumpwarden::ReadConfiguration(yaml, "/etc/dumpctl.yaml");
  if (!config.ok()) return 0;
  const bool named = std::any_of(
      config->contexts.begin(), config->contexts.end(),
      [&](const dumpwarden::Context& context) { return context.name == config->current; });
  dumpwarden::Check(config->current.empty() || named, "the current context is not there");
  return 0;
}
