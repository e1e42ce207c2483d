// SPDX-License-Identifier: Apache-2.0
#include "core/base/timestamp.h"

#include <cstdint>

namespace dumpwarden {
namespace {

constexpr std::int64_t kYear10000 = 253'402'300'800;  // Unix seconds; protobuf's end of time

}  // namespace

google::protobuf::Timestamp ToTimestamp(absl::Time time) {
  google::protobuf::Timestamp timestamp;
  if (time == absl::InfinitePast() || time == absl::InfiniteFuture()) return timestamp;
  const std::int64_t seconds = absl::ToUnixSeconds(time);  // rounds down
  timestamp.set_seconds(seconds);
  timestamp.set_nanos(
      static_cast<std::int32_t>(absl::ToInt64Nanoseconds(time - absl::FromUnixSeconds(seconds))));
  return timestamp;
}

absl::Time FromTimestamp(const google::protobuf::Timestamp& timestamp) {
  return absl::FromUnixSeconds(timestamp.seconds()) + absl::Nanoseconds(timestamp.nanos());
}

bool IsSendable(const google::protobuf::Timestamp& timestamp) {
  return timestamp.seconds() >= 0 && timestamp.seconds() < kYear10000 && timestamp.nanos() >= 0 &&
         timestamp.nanos() < 1'000'000'000;
}

}  // namespace dumpwarden
