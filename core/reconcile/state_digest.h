// SPDX-License-Identifier: Apache-2.0
// The digest by which agent and server see that they hold the same findings
// and the same observation of a host.
#ifndef DUMPWARDEN_CORE_RECONCILE_STATE_DIGEST_H_
#define DUMPWARDEN_CORE_RECONCILE_STATE_DIGEST_H_

#include <string>
#include <vector>

#include "dumpwarden/v1/report.pb.h"

namespace dumpwarden {

// What a host's reports add up to.
struct HostState {
  std::vector<v1::Finding> findings;  // by (mode, setting)
  v1::Observation observation;
};

std::string FindingKey(const v1::Finding& finding);  // "enforce dump.type"
// 32 bytes; does not depend on order.
std::string StateDigest(const HostState& state);
// 32 bytes.  Free space counts in sixteenths of the volume, so that a busy disk is not news;
// mounts, which stay on the host, do not count.
std::string FactsDigest(const v1::Facts& facts);

// The report (without epoch, sequence, events, digest of policies) that turns `before` into
// `after`; `full` when there is no `before`.
v1::Report MakeReport(const HostState* before, const HostState& after);
// The inverse: what the server does with it.
void ApplyReport(const v1::Report& report, HostState& state);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_CORE_RECONCILE_STATE_DIGEST_H_
