// SPDX-License-Identifier: Apache-2.0
// The bound that every answer to an operator keeps.
#ifndef DUMPWARDEN_SERVER_FLEET_ANSWERS_H_
#define DUMPWARDEN_SERVER_FLEET_ANSWERS_H_

#include <cstddef>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "google/protobuf/message_lite.h"

namespace dumpwarden {

// What one answer may hold; dumpctl accepts more.
inline constexpr std::size_t kMaxAnswerBytes = 64 * 1024 * 1024;

// kResourceExhausted when the answer is larger; `narrow` says how to ask for less.
absl::Status CheckAnswer(const google::protobuf::MessageLite& answer, absl::string_view narrow);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_SERVER_FLEET_ANSWERS_H_
