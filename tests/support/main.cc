// SPDX-License-Identifier: Apache-2.0
// main of every test program: GoogleTest's, and what the programs' own do first.
#include <gmock/gmock.h>

#include "platform/system.h"

int main(int argc, char** argv) {
  dumpwarden::KeepOpenSslToTheEnd();
  testing::InitGoogleMock(&argc, argv);
  return RUN_ALL_TESTS();
}
