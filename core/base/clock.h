// SPDX-License-Identifier: Apache-2.0
#ifndef DUMPWARDEN_CORE_BASE_CLOCK_H_
#define DUMPWARDEN_CORE_BASE_CLOCK_H_

#include "absl/time/time.h"

namespace dumpwarden {

// Clock tells the time.  Wall time may step either way; monotonic time never
// goes back within one run of the process and is what deadlines are made of.
// Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual absl::Time Now() const = 0;
  virtual absl::Duration Monotonic() const = 0;
};

}  // namespace dumpwarden

#endif  // DUMPWARDEN_CORE_BASE_CLOCK_H_
