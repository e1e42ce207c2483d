// SPDX-License-Identifier: Apache-2.0
// dumpctl.yaml: every context that is accepted names a server that can be dialled.
#include <cstddef>
#include <cstdint>

#include "cli/contexts.h"
#include "core/base/host_port.h"
#include "tests/fuzz/check.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const absl::string_view yaml(reinterpret_cast<const char*>(data), size);
  const auto config = dumpwarden::ReadConfiguration(yaml, "/etc/dumpctl.yaml");
  if (!config.ok()) return 0;
  for (const dumpwarden::Context& context : config->contexts) {
    dumpwarden::Check(dumpwarden::ParseServerAddress(context.server).ok(), "no server address");
  }
  return 0;
}
