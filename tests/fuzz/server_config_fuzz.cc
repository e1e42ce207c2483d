// SPDX-License-Identifier: Apache-2.0
// server.yaml: what is accepted is accepted again as `init` would write it.
#include <cstddef>
#include <cstdint>

#include "server/config.h"
#include "tests/fuzz/check.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const absl::string_view yaml(reinterpret_cast<const char*>(data), size);
  const auto config = dumpwarden::ParseServerConfig(yaml, "/etc/dumpwarden/server.yaml");
  if (!config.ok()) return 0;
  dumpwarden::Check(dumpwarden::ParseServerConfig(dumpwarden::FormatServerConfig(*config),
                                                  "/etc/dumpwarden/server.yaml")
                        .ok(),
                    "a configuration cannot be read back");
  return 0;
}
