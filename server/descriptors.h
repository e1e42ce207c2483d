// SPDX-License-Identifier: Apache-2.0
// Open files of this process and their limit: every connection is one, also
// of those who never show a certificate.
#ifndef DUMPWARDEN_SERVER_DESCRIPTORS_H_
#define DUMPWARDEN_SERVER_DESCRIPTORS_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "platform/log.h"

namespace dumpwarden {

// Empty when they cannot be listed: no descriptor may be left for that.
std::vector<int> OpenDescriptors();

// DescriptorLimit raises it as far as it may, and says when it is or becomes too low.
class DescriptorLimit {
 public:
  // Both must outlive this.
  DescriptorLimit(const Clock& clock, Log& log) : clock_(clock), log_(log) {}

  // Raises the soft limit to the hard one; a warning when that is too low for `sessions`.
  void Raise(std::uint64_t sessions);
  // Every second or so: an error when few are left, once until there are more.
  void Tick();

 private:
  const Clock& clock_;
  Log& log_;
  std::uint64_t limit_ = 0;
  absl::Duration looked_ = -absl::InfiniteDuration();
  bool said_ = false;
};

}  // namespace dumpwarden

#endif  // DUMPWARDEN_SERVER_DESCRIPTORS_H_
