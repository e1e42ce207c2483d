// SPDX-License-Identifier: Apache-2.0
// Errors as people get them: what, why, what to do, a line each.
#ifndef DUMPWARDEN_CLI_ERRORS_H_
#define DUMPWARDEN_CLI_ERRORS_H_

#include <ostream>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace dumpwarden {

// A status whose message is the three lines.
absl::Status Trouble(absl::StatusCode code, absl::string_view what, absl::string_view why,
                     absl::string_view todo);

// The same for a wrong command line: exit code 64, whatever the answer of a server would give.
absl::Status Misuse(absl::string_view what, absl::string_view why, absl::string_view todo);

// Prints the lines, safe for a terminal and `file:line:column: ...` bare, and gives the exit code
// of the status.
int Complain(std::ostream& err, const absl::Status& status);
int ExitCodeOf(absl::StatusCode code);

// "2026-11-22 17:00:00 UTC".
std::string Day(absl::Time time);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_CLI_ERRORS_H_
