// SPDX-License-Identifier: Apache-2.0
#include "cli/errors.h"

#include <string>
#include <vector>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "cli/commands.h"
#include "core/base/text.h"

namespace dumpwarden {
namespace {

constexpr char kMisuse[] = "dumpwarden/misuse";

bool IsNumber(absl::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == absl::string_view::npos;
}

// "web.yaml:3:7: ...", which editors want bare.
bool NamesAPlace(absl::string_view line) {
  const std::vector<absl::string_view> parts = absl::StrSplit(line.substr(0, line.find(": ")), ':');
  return parts.size() >= 3 && IsNumber(parts.back()) && IsNumber(parts[parts.size() - 2]);
}

}  // namespace

absl::Status Trouble(absl::StatusCode code, absl::string_view what, absl::string_view why,
                     absl::string_view todo) {
  return absl::Status(code, absl::StrCat(what, "\n  why: ", why, "\n  do:  ", todo));
}

absl::Status Misuse(absl::string_view what, absl::string_view why, absl::string_view todo) {
  absl::Status status = Trouble(absl::StatusCode::kInvalidArgument, what, why, todo);
  status.SetPayload(kMisuse, absl::Cord());
  return status;
}

int Complain(std::ostream& err, const absl::Status& status) {
  absl::string_view prefix = "dumpctl: ";
  for (absl::string_view line : absl::StrSplit(status.message(), '\n', absl::SkipEmpty())) {
    err << (NamesAPlace(line) ? "" : prefix) << Printable(line) << "\n";
    prefix = "";
  }
  return status.GetPayload(kMisuse) ? kExitUsage : ExitCodeOf(status.code());
}

int ExitCodeOf(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kOk:
      return kExitDone;
    case absl::StatusCode::kUnauthenticated:
      return kExitNotAuthenticated;
    case absl::StatusCode::kPermissionDenied:
      return kExitNotPermitted;
    case absl::StatusCode::kNotFound:
      return kExitNotFound;
    case absl::StatusCode::kAborted:
    case absl::StatusCode::kAlreadyExists:
      return kExitConflict;
    case absl::StatusCode::kDeadlineExceeded:
      return kExitTimedOut;
    default:
      return kExitFailed;
  }
}

std::string Day(absl::Time time) {
  return absl::FormatTime("%Y-%m-%d %H:%M:%S UTC", time, absl::UTCTimeZone());
}

}  // namespace dumpwarden
