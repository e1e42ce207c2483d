// SPDX-License-Identifier: Apache-2.0
#ifndef DUMPWARDEN_CORE_BASE_DIGEST_H_
#define DUMPWARDEN_CORE_BASE_DIGEST_H_

#include <string>

#include "absl/strings/string_view.h"

namespace dumpwarden {

std::string Sha256(absl::string_view bytes);     // 32 raw bytes
std::string Sha256Hex(absl::string_view bytes);  // 64 lower-case digits

}  // namespace dumpwarden

#endif  // DUMPWARDEN_CORE_BASE_DIGEST_H_
