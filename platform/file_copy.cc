// SPDX-License-Identifier: Apache-2.0
#include "platform/file_copy.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <unistd.h>

#include <cerrno>
#include <functional>
#include <memory>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "core/base/status_macros.h"

namespace dumpwarden {
namespace {

// Closes what it holds.
class File {
 public:
  File(const std::string& path, int flags) : fd_(open(path.c_str(), flags | O_CLOEXEC, 0600)) {}
  ~File() {
    if (fd_ >= 0) close(fd_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  int get() const { return fd_; }

 private:
  const int fd_;
};

absl::Status Failed(absl::string_view what, const std::string& path) {
  return absl::ErrnoToStatus(errno, absl::StrCat("cannot ", what, " ", path));
}

using Take = std::function<absl::Status(absl::string_view)>;

absl::StatusOr<std::string> DigestOf(const std::string& path, const Take& take) {
  const File file(path, O_RDONLY);
  if (file.get() < 0) return Failed("open", path);
  const std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> hash(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
  bool good = EVP_DigestInit_ex(hash.get(), EVP_sha256(), nullptr) == 1;
  char buffer[65536];
  while (good) {
    const ssize_t count = read(file.get(), buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return Failed("read", path);
    if (count == 0) break;
    const auto size = static_cast<std::size_t>(count);
    good = EVP_DigestUpdate(hash.get(), buffer, size) == 1;
    RETURN_IF_ERROR(take(absl::string_view(buffer, size)));
  }
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int length = 0;
  good = good && EVP_DigestFinal_ex(hash.get(), digest, &length) == 1;
  if (!good) return absl::InternalError(absl::StrCat("cannot compute the SHA-256 of ", path));
  return absl::BytesToHexString(absl::string_view(reinterpret_cast<char*>(digest), length));
}

}  // namespace

absl::StatusOr<std::string> FileDigest(const std::string& path) {
  return DigestOf(path, [](absl::string_view) { return absl::OkStatus(); });
}

absl::StatusOr<std::string> CopyFile(const std::string& from, const std::string& to) {
  const File copy(to, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW);
  if (copy.get() < 0) return Failed("write", to);
  ASSIGN_OR_RETURN(std::string digest, DigestOf(from, [&](absl::string_view bytes) {
                     while (!bytes.empty()) {
                       const ssize_t count = write(copy.get(), bytes.data(), bytes.size());
                       if (count < 0 && errno == EINTR) continue;
                       if (count < 0) return Failed("write", to);
                       bytes.remove_prefix(static_cast<std::size_t>(count));
                     }
                     return absl::OkStatus();
                   }));
  if (fsync(copy.get()) != 0) return Failed("sync", to);
  return digest;
}

}  // namespace dumpwarden
