// SPDX-License-Identifier: Apache-2.0
#include <iostream>
#include <string>
#include <vector>

#include "agent/commands.h"
#include "platform/system.h"

int main(int argc, char** argv) {
  dumpwarden::KeepOpenSslToTheEnd();
  std::vector<std::string> arguments(argv + (argc > 0 ? 1 : 0), argv + argc);
  const int code = dumpwarden::RunProgram(arguments, std::cout, std::cerr);
  // What was not written was not said: a full disk must not look like success.
  if (std::cout.flush()) return code;
  std::cerr << "dumpwarden-agent: the output could not be written\n";
  return code == dumpwarden::kExitDone ? dumpwarden::kExitFailed : code;
}
