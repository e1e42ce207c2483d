// SPDX-License-Identifier: Apache-2.0
// Sizes as policies spell them: 16GiB, 4096MiB, or an expression of the host's
// memory: ram + 257MiB, ram * 1.5, ram * 0.25 + 1GiB.  Units are KiB MiB GiB TiB; a size
// without a unit is refused, because nobody reads it the way its author meant.
#ifndef DUMPWARDEN_CORE_BASE_SIZES_H_
#define DUMPWARDEN_CORE_BASE_SIZES_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace dumpwarden {

inline constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;
inline constexpr std::uint64_t kGiB = std::uint64_t{1} << 30;

// A size: ram * ram_thousandths / 1000 + bytes.
struct Size {
  std::uint32_t ram_thousandths = 0;  // 0 = does not depend on memory; at most 16,000
  std::int64_t bytes = 0;             // negative only with memory
  bool operator==(const Size&) const = default;
};

// kInvalidArgument says what is accepted.
absl::StatusOr<Size> ParseSize(absl::string_view text);
// The canonical spelling: ParseSize(FormatSize(s)) == s.  The largest unit that
// divides; 0 is "0MiB".
std::string FormatSize(const Size& size);
std::string FormatBytes(std::uint64_t bytes);
// Bytes.  kFailedPrecondition when memory is needed and `ram` is not known;
// kOutOfRange when the result is negative or above 16 TiB.
absl::StatusOr<std::uint64_t> ResolveSize(const Size& size, std::optional<std::uint64_t> ram);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_CORE_BASE_SIZES_H_
