// SPDX-License-Identifier: Apache-2.0
// dumpctl: the operator's command line.  Only the wiring; see commands.h.
#include <stdlib.h>

#include <iostream>

#include "cli/commands.h"
#include "platform/system.h"

namespace {

std::optional<std::string> FromProcess(const std::string& name) {
  const char* value = getenv(name.c_str());
  if (value == nullptr || *value == '\0') return std::nullopt;
  return value;
}

}  // namespace

int main(int argc, char** argv) {
  dumpwarden::KeepOpenSslToTheEnd();
  std::ios::sync_with_stdio(false);
  dumpwarden::Console console{std::cin, std::cout, std::cerr};
  const int code = dumpwarden::RunProgram({argv + 1, argv + argc}, console, FromProcess);
  // What was not written was not said: a full disk must not look like success.
  if (std::cout.flush()) return code;
  std::cerr << "dumpctl: the output could not be written\n";
  return code == dumpwarden::kExitDone ? dumpwarden::kExitFailed : code;
}
