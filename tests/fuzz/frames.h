// SPDX-License-Identifier: Apache-2.0
// A conversation as bytes: each message with its length before it (two bytes,
// little-endian).  make_corpus.sh writes such files.
#ifndef DUMPWARDEN_TESTS_FUZZ_FRAMES_H_
#define DUMPWARDEN_TESTS_FUZZ_FRAMES_H_

#include <algorithm>
#include <cstddef>
#include <optional>

#include "absl/strings/string_view.h"

namespace dumpwarden {

// The next message's bytes, taken off `rest`; cut short when it ends early.
inline std::optional<absl::string_view> TakeFrame(absl::string_view& rest) {
  if (rest.size() < 2) return std::nullopt;
  const std::size_t size =
      static_cast<unsigned char>(rest[0]) | std::size_t{static_cast<unsigned char>(rest[1])} << 8;
  rest.remove_prefix(2);
  const absl::string_view frame = rest.substr(0, std::min(size, rest.size()));
  rest.remove_prefix(frame.size());
  return frame;
}

}  // namespace dumpwarden

#endif  // DUMPWARDEN_TESTS_FUZZ_FRAMES_H_
