// SPDX-License-Identifier: Apache-2.0
#ifndef DUMPWARDEN_CORE_BASE_RANDOM_H_
#define DUMPWARDEN_CORE_BASE_RANDOM_H_

#include <cstddef>
#include <string>

namespace dumpwarden {

// Random gives unpredictable bytes: nonces, tokens, jitter.  Thread-safe.
class Random {
 public:
  virtual ~Random() = default;
  virtual std::string Bytes(std::size_t count) = 0;
  // Uniform in [0, 1).
  virtual double Fraction() = 0;
};

}  // namespace dumpwarden

#endif  // DUMPWARDEN_CORE_BASE_RANDOM_H_
