// SPDX-License-Identifier: Apache-2.0
#ifndef DUMPWARDEN_TESTS_FUZZ_CHECK_H_
#define DUMPWARDEN_TESTS_FUZZ_CHECK_H_

#include <cstdio>
#include <cstdlib>

namespace dumpwarden {

// Ends the fuzzer, which keeps the input that led here.
inline void Check(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "fuzz: %s\n", what);
  std::abort();
}

}  // namespace dumpwarden

#endif  // DUMPWARDEN_TESTS_FUZZ_CHECK_H_
