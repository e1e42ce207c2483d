// SPDX-License-Identifier: Apache-2.0
// Is a message of an agent within its bounds?  Asked before anything else is
// done with it; a host that is over them is sent away.
#ifndef DUMPWARDEN_SERVER_FLEET_CHECKS_H_
#define DUMPWARDEN_SERVER_FLEET_CHECKS_H_

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "core/reconcile/state_digest.h"
#include "dumpwarden/v1/session.pb.h"

namespace dumpwarden {

inline constexpr std::uint32_t kProtocol = 1;  // the only one so far
inline constexpr std::size_t kMaxAgentMessage = 1024 * 1024;
inline constexpr int kMaxFindings = 10'000;
inline constexpr int kMaxEvents = 10'000;
inline constexpr int kMaxCells = 1'000;
inline constexpr int kMaxFolders = 1'000;
inline constexpr int kMaxVolumes = 256;
inline constexpr std::size_t kMaxStateBytes = 4 * 1024 * 1024;

// kInvalidArgument says what is too much and how much is accepted.
absl::Status CheckHello(const v1::Hello& hello);
absl::Status CheckFacts(const v1::Facts& facts);
absl::Status CheckReport(const v1::Report& report);
absl::Status CheckCheckIn(const v1::CheckIn& check_in);
absl::Status CheckPolicyRequest(const v1::PolicyRequest& request);
// What the reports of a host add up to: small steps must not make a big heap.
absl::Status CheckState(const HostState& state);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_SERVER_FLEET_CHECKS_H_
