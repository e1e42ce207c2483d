// SPDX-License-Identifier: Apache-2.0
// What a queue of drift events that grew too long is cut to.
#ifndef DUMPWARDEN_AGENT_EVENT_QUEUE_H_
#define DUMPWARDEN_AGENT_EVENT_QUEUE_H_

#include <cstdint>
#include <vector>

#include "dumpwarden/v1/report.pb.h"

namespace dumpwarden {

// Events up to `sent` stay as they are: the server may hold them.  Of the rest, per setting and
// overlay, the first and the last drift stay, each with its end; what is between becomes one
// COMPACTED event that carries their number and the sequence of the last of them.
std::vector<v1::DriftEvent> CompactEvents(std::vector<v1::DriftEvent> events, std::uint64_t sent);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_AGENT_EVENT_QUEUE_H_
