// SPDX-License-Identifier: Apache-2.0
#include "server/descriptors.h"

#include <dirent.h>
#include <sys/resource.h>

#include <cstring>
#include <memory>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace dumpwarden {
namespace {

constexpr std::uint64_t kBesidesSessions = 256;  // the store, enrolment, operators, strangers
constexpr absl::Duration kLookEvery = absl::Seconds(5);  // it lists them all

struct CloseDirectory {
  void operator()(DIR* directory) const { closedir(directory); }
};

}  // namespace

std::vector<int> OpenDescriptors() {
  std::vector<int> open;
  const std::unique_ptr<DIR, CloseDirectory> directory(opendir("/proc/self/fd"));
  if (directory == nullptr) return open;
  while (const dirent* entry = readdir(directory.get())) {
    int descriptor = 0;
    if (absl::SimpleAtoi(entry->d_name, &descriptor)) open.push_back(descriptor);
  }
  return open;
}

void DescriptorLimit::Raise(std::uint64_t sessions) {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  const rlim_t before = limit.rlim_cur;
  limit.rlim_cur = limit.rlim_max;
  limit_ = setrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_max : before;
  const std::uint64_t needed = sessions + kBesidesSessions;
  if (limit_ >= needed) return;
  log_.Warning("too few open files are allowed for limits.sessions",
               {{"allowed", absl::StrCat(limit_)},
                {"sessions", absl::StrCat(sessions)},
                {"do", absl::StrCat("set LimitNOFILE= of the service (ulimit -Hn) to ", needed,
                                    " or more, or lower limits.sessions")}});
}

void DescriptorLimit::Tick() {
  const absl::Duration now = clock_.Monotonic();
  if (limit_ == 0 || now - looked_ < kLookEvery) return;
  looked_ = now;
  const std::size_t listed = OpenDescriptors().size();
  const std::uint64_t open = listed == 0 ? limit_ : listed;
  if (open < limit_ / 10 * 8) said_ = false;
  if (said_ || open < limit_ / 10 * 9) return;
  said_ = true;
  log_.Error("nearly all open files are used; at the limit nobody can connect any more",
             {{"open", absl::StrCat(open)},
              {"allowed", absl::StrCat(limit_)},
              {"do",
               "raise LimitNOFILE= of the service, and see who holds idle connections "
               "(ss -tn)"}});
}

}  // namespace dumpwarden
