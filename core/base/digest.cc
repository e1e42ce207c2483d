// SPDX-License-Identifier: Apache-2.0
#include "core/base/digest.h"

#include <openssl/evp.h>

#include <cstdlib>

#include "absl/strings/escaping.h"

namespace dumpwarden {

std::string Sha256(absl::string_view bytes) {
  // Fetching takes longer than hashing a short text, so it is done once.
  static EVP_MD* const kSha256 = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  std::string digest(32, '\0');
  // A digest that cannot be made must never read as one that was.
  if (kSha256 == nullptr ||
      EVP_Digest(bytes.data(), bytes.size(), reinterpret_cast<unsigned char*>(digest.data()),
                 nullptr, kSha256, nullptr) != 1) {
    std::abort();
  }
  return digest;
}

std::string Sha256Hex(absl::string_view bytes) { return absl::BytesToHexString(Sha256(bytes)); }

}  // namespace dumpwarden
