// SPDX-License-Identifier: Apache-2.0
// What must be true when the chaos is over.
#ifndef DUMPWARDEN_TESTS_END_TO_END_CHAOS_CHECKS_H_
#define DUMPWARDEN_TESTS_END_TO_END_CHAOS_CHECKS_H_

#include "absl/time/time.h"
#include "tests/end_to_end/chaos.h"

namespace dumpwarden {

// Waits until of every host the server says what a fresh plan of its registry file says, and the
// agent too.
void CheckFindings(Chaos& chaos, absl::Duration limit);
// Every drift is there once, with what it was and its end; none was made up.
void CheckDrifts(Chaos& chaos);
// What dumpctl was answered is there, with its audit row once; tokens still open the door.
void CheckAnswers(Chaos& chaos);
// Registry files have what the policies want and else what they had.
void CheckRegistries(Chaos& chaos);
// All end when asked to, the database is sound, and nothing was said that only a bug says.
void CheckEnds(Chaos& chaos);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_TESTS_END_TO_END_CHAOS_CHECKS_H_
