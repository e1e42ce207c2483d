// SPDX-License-Identifier: Apache-2.0
// Microseconds since 1970, as the database keeps them, and protobuf's timestamps.
#ifndef DUMPWARDEN_SERVER_STORE_TIMES_H_
#define DUMPWARDEN_SERVER_STORE_TIMES_H_

#include <cstdint>

#include "absl/time/time.h"
#include "core/base/timestamp.h"
#include "google/protobuf/timestamp.pb.h"

namespace dumpwarden {

inline google::protobuf::Timestamp TimestampOf(std::int64_t micros) {
  return ToTimestamp(absl::FromUnixMicros(micros));
}

inline std::int64_t MicrosOf(const google::protobuf::Timestamp& timestamp) {
  return absl::ToUnixMicros(FromTimestamp(timestamp));
}

}  // namespace dumpwarden

#endif  // DUMPWARDEN_SERVER_STORE_TIMES_H_
