// SPDX-License-Identifier: Apache-2.0
#include "server/fleet/answers.h"

#include "absl/strings/str_cat.h"

namespace dumpwarden {

absl::Status CheckAnswer(const google::protobuf::MessageLite& answer, absl::string_view narrow) {
  const std::size_t bytes = answer.ByteSizeLong();
  if (bytes <= kMaxAnswerBytes) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrCat("the answer has ", bytes, " bytes; one holds ", kMaxAnswerBytes, ": ", narrow));
}

}  // namespace dumpwarden
