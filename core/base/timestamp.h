// SPDX-License-Identifier: Apache-2.0
// absl::Time <-> protobuf's Timestamp: the only such pair.
#ifndef DUMPWARDEN_CORE_BASE_TIMESTAMP_H_
#define DUMPWARDEN_CORE_BASE_TIMESTAMP_H_

#include "absl/time/time.h"
#include "google/protobuf/timestamp.pb.h"

namespace dumpwarden {

// An infinite time is an empty timestamp.
google::protobuf::Timestamp ToTimestamp(absl::Time time);
absl::Time FromTimestamp(const google::protobuf::Timestamp& timestamp);

// Whether it lies in 1970 to 9999, as every time that a host sends must.
bool IsSendable(const google::protobuf::Timestamp& timestamp);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_CORE_BASE_TIMESTAMP_H_
