#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Breaks the product on purpose, one promise at a time, in a copy of the tree:
# each break must turn one of the named tests red.  A mutant that survives, or
# that no longer applies because the code has moved, ends this with exit 1.
#   tests/mutants.sh            all of them
#   tests/mutants.sh NAME...    only these
#   tests/mutants.sh --part K/N every N-th, beginning with the K-th (CI rotates by commit)
#   tests/mutants.sh --list
set -euo pipefail
cd "$(dirname "$0")/.."
export CCACHE_DIR=${CCACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/dumpwarden/ccache}

# name, file, test program and filter, what stands there, what is put in its place
MUTANTS=()
mutant() { MUTANTS+=("$1"$'\x1f'"$2"$'\x1f'"$3"$'\x1f'"$4"$'\x1f'"$5"); }

mutant ack-before-commit server/fleet/reports.cc 'reports_test *' \
  'if (status.ok()) {
      session->out->Send(AckOf(now, false));' \
  'if (true) {
      session->out->Send(AckOf(now, false));'
mutant session-outlives-revocation server/fleet/admission.cc 'revocation_test *' \
  'return CloseAll(host, v1::Goodbye::REASON_REVOKED, kRevoked);' \
  'return 0;'
mutant expired-leaf-let-in-without-hold server/identity/renewal.cc 'renewal_test *' \
  'store_.RenewHost(host.row.id, late, audit)' \
  'store_.RenewHost(host.row.id, false, audit)'
mutant renewal-takes-the-name-from-the-csr server/identity/renewal.cc 'renewal_test *' \
  'authority_.IssueHost(*key, host.row.uuid, clock_.Now())' \
  'authority_.IssueHost(*key, request.csr().find("/host/") == std::string::npos ? host.row.uuid : request.csr().substr(request.csr().find("/host/") + 6, 36), clock_.Now())'
mutant renewal-without-the-host-key server/identity/renewal.cc 'renewal_test *' \
  'if (VerifySignature(*host_key, proven, request.host_key_proof()).ok()) return absl::OkStatus();' \
  'if (!proven.empty()) return absl::OkStatus();'
mutant expired-leaf-opens-more-than-a-renewal server/authorize.cc 'authorize_test *' \
  'permission->who == Who::kHostEvenLate ? kLateRenewal : absl::ZeroDuration();' \
  'permission->who != Who::kAnybody ? kLateRenewal : absl::ZeroDuration();'
mutant held-host-let-in server/fleet/admission.cc 'hold_test *' \
  'if (host.hold || held_.contains(host.id)) return WhyHeld(host.uuid);' ''
mutant old-identity-gone-before-the-new-is-durable agent/identity.cc 'renew_test *' \
  'RETURN_IF_ERROR(vfs.MakeFolder(fresh));' \
  'if (enrolled) {
    RETURN_IF_ERROR(vfs.Rename(IdentityFolder(data), OldFolder(data)));
    RETURN_IF_ERROR(RemoveOld(vfs, data));
    enrolled = false;
  }
  RETURN_IF_ERROR(vfs.MakeFolder(fresh));'
mutant stream-let-in-before-revocation server/fleet/admission.cc 'revocation_test *' \
  'revoked_.insert(host);' \
  ''
mutant no-read-back core/reconcile/apply.cc 'apply_test *' \
  'RETURN_IF_ERROR(ReadBack(plan));' ''
mutant backup-after-write core/reconcile/apply.cc 'apply_test *' \
  'RETURN_IF_ERROR(WriteDurably(vfs_, BackupPath(record), BackupOf(plan)));
  FAILPOINT("apply.backup-written");
  RETURN_IF_ERROR(WriteCells(plan, obsolete));
  RETURN_IF_ERROR(registry_.Flush());' \
  'RETURN_IF_ERROR(WriteCells(plan, obsolete));
  RETURN_IF_ERROR(registry_.Flush());
  RETURN_IF_ERROR(WriteDurably(vfs_, BackupPath(record), BackupOf(plan)));'
mutant rollback-takes-what-is-not-ours core/reconcile/apply.cc 'apply_test *' \
  'const bool ours = now.ok() && *now == after && after != before;' \
  'const bool ours = now.ok() && after != before;'
mutant restore-outside-the-table core/reconcile/restore.cc 'apply_test:restore_test *' \
  'if (setting == nullptr) {
      return AtLine' \
  'if (false) {
      return AtLine'
mutant no-sync-of-the-folder core/base/vfs.cc 'vfs_test *' \
  'return vfs.SyncFolder(FolderOf(path));
}

absl::Status RemoveDurably' \
  'return absl::OkStatus();
}

absl::Status RemoveDurably'
mutant audit-row-outside-the-transaction server/store/sqlite_store.cc 'sqlite_store_test *' \
  'RETURN_IF_ERROR(change(db));
      return InsertAudit(db, audit, clock_.Now()).status();
    });' \
  'RETURN_IF_ERROR(change(db));
      static_cast<void>(audit);
      return absl::OkStatus();
    });'
mutant revocation-without-its-row server/store/sqlite_store.cc 'sqlite_store_test *' \
  'if (!changed || trial) return absl::OkStatus();' 'if (row.action == "host.revoke" || !changed || trial) return absl::OkStatus();'
mutant certificate-renewed-without-its-row server/identity/server_identity.cc \
  'audit_completeness_test *Certificate*' \
  'if (done.ok()) done = record(renewal);' 'if (done.ok() && renewal.after.empty()) done = record(renewal);'
mutant export-with-a-gap server/audit_log.cc 'audit_log_test *' \
  '|| (!first && page.floor > next.after_sequence() + 1)' ''
mutant extensions-of-the-request-are-copied server/identity/enrollment.cc 'hostile_csr_test *' \
  'absl::StatusOr<v1::EnrollResponse> HostEnrollment::Enroll(const v1::EnrollRequest& request,' \
  '}  // namespace dumpwarden
#include <openssl/x509.h>
namespace dumpwarden {
std::string Copied(const std::string& csr, const std::string& der) {
  const auto* at = reinterpret_cast<const unsigned char*>(csr.data());
  STACK_OF(X509_EXTENSION)* wishes = X509_REQ_get_extensions(d2i_X509_REQ(nullptr, &at, 8192));
  at = reinterpret_cast<const unsigned char*>(der.data());
  X509* leaf = d2i_X509(nullptr, &at, 8192);
  for (int i = 0; i < sk_X509_EXTENSION_num(wishes); ++i) {
    X509_add_ext(leaf, sk_X509_EXTENSION_value(wishes, i), -1);
  }
  unsigned char* bytes = nullptr;
  i2d_re_X509_tbs(leaf, &bytes);
  bytes = nullptr;
  const int size = i2d_X509(leaf, &bytes);
  return std::string(reinterpret_cast<char*>(bytes), static_cast<std::size_t>(size));
}
#define add_chain(der) add_chain(response.chain_size() == 0 ? Copied(request.csr(), der) : der)
absl::StatusOr<v1::EnrollResponse> HostEnrollment::Enroll(const v1::EnrollRequest& request,'
mutant request-has-two-spellings platform/keys.cc 'hostile_csr_test *' \
  'return ReadPublicKeyDer(public_key);' 'return key;'
mutant token-works-twice server/store/tokens.cc 'token_race_test:sqlite_store_test:enrollment_test *' \
  'if (!select.IsNull(1)) {' 'if (false) {'
mutant expired-token-works server/store/tokens.cc 'sqlite_store_test:enrollment_test *' \
  'if (expires <= claim.now) {' 'if (false) {'
mutant event-kept-twice server/store/drift_events.cc 'sqlite_store_test *' \
  'if (kept) continue;' 'static_cast<void>(kept);'
mutant rate-ignored server/fleet/pacing.cc 'rate_test *' \
  'if (MayGoOn(session.host)) return' 'if (true) return'
mutant rate-is-new-with-each-session server/fleet/fleet.cc 'rate_test *' \
  'slots_.erase(host);' 'slots_.erase(host); spending_.erase(host);'
mutant openings-silence-the-live-session server/fleet/pacing.cc 'probe_test *' \
  'spending_[host].openings.Add(' 'spending_[host].messages.Add('
mutant unread-is-dead server/fleet/pacing.cc 'probe_test *' \
  'return !session.paced && now' 'return now'
mutant flooding-live-session-is-never-replaced server/fleet/pacing.cc 'probe_test *' \
  '|| now - slot.probed >= kLongestProbe' ''
mutant operator-has-one-call-more server/authorize.cc 'operator_limits_test *' \
  'kCalls{16, 64,' 'kCalls{17, 64,'
mutant operators-have-one-follower-more server/authorize.cc 'operator_limits_test *' \
  '8, 16, "follow drift"' '8, 17, "follow drift"'
mutant role-ignored server/authorize.cc 'authorize_test *' \
  'if ((RolesOf(person->roles) & caller.permission->roles) != 0) return' 'if (true) return'
mutant revoked-person-comes-in server/authorize.cc 'authorize_test *' \
  'if (person->revoked.has_value()) {' 'if (false) {'
mutant withdrawn-certificate-comes-in server/authorize.cc 'authorize_test *' \
  'if (!MayUse(*person, caller.principal.serial)) {' \
  'if (!MayUse(*person, caller.principal.serial) && person->unlisted) {'
mutant viewer-puts-policies-in-force server/authorize.cc 'authorize_test *KeepsDuties*' \
  'Change("dumpwarden.v1.Admin.ApplyPolicies", kAuthors)' \
  'Change("dumpwarden.v1.Admin.ApplyPolicies", kReaders)'
mutant call-outlives-its-person server/admin_service.cc 'login_test *Leaver*' \
  'calls_.CutOff(parts_.people.IdOf(request->name()))' '0'
mutant login-code-works-twice server/store/people.cc 'sqlite_store_test:people_test *' \
  'if (!select.IsNull(1)) {' 'if (false) {'
mutant expired-login-code-works server/store/people.cc 'sqlite_store_test:people_test *' \
  'if (expires <= claim.now) {' 'if (false) {'
mutant last-admin-goes server/store/people.cc 'sqlite_store_test *Admin*' \
  'if (found) return absl::OkStatus();' \
  'if (found || !without.row.name.empty()) return absl::OkStatus();'
mutant code-outlives-its-person server/store/people.cc 'sqlite_store_test:people_test *' \
  'RunFor(db, "DELETE FROM login_code WHERE person_id = ? AND used IS NULL", person.id));
  return true;' \
  'RunFor(db, "SELECT ?", person.id));
  return true;'
mutant selector-ignored core/policy/merge.cc 'merge_test *' \
  'if (!Matches(in_force.policy.selector, facts)) continue;' ''
mutant audit-policy-writes core/reconcile/plan.cc 'plan_golden_test:plan_test *' \
  'if (decision.mode == v1::MODE_AUDIT) outcome.edits.clear();' ''
mutant pending-is-compliant core/reconcile/plan.cc 'plan_golden_test:plan_test *' \
  'if (UsedSinceBoot(setting, at_boot.values, resolved, host.Build())) return "";' \
  'if (true || UsedSinceBoot(setting, at_boot.values, resolved, host.Build())) return "";'
mutant ignored-is-written core/catalog/catalog.cc 'plan_golden_test:catalog_test *' \
  'if (OutsideBuilds(setting, build)) return std::string(setting.builds.why);' \
  'if (false && OutsideBuilds(setting, build)) return std::string(setting.builds.why);'
mutant stale-version-accepted agent/policy_intake.cc 'agent_test *' \
  'if (entry.version() < seen->version) {' 'if (false) {'
mutant jitter-zero-at-the-cap agent/reconnect.cc 'reconnect_test *' \
  'const absl::Duration delay = Bound() * random_.Fraction();' \
  'const absl::Duration delay = Bound() * (Bound() == kReconnectCap ? 1.0 : random_.Fraction());'
mutant drift-told-after-the-write agent/reconciler.cc 'reconciler_test:agent_test *' \
  'RETURN_IF_ERROR(Record(std::move(step)));
  FAILPOINT("agent.drift-recorded");' \
  'tracked_ = step.tracked;'
mutant unseen-drift-written-back core/reconcile/apply.cc 'reconciler_test *UnderTheLock*' \
  'if (before_write) RETURN_IF_ERROR(before_write(next));' 'static_cast<void>(before_write);'
mutant unknown-ack-is-believed agent/reporter.cc 'agent_test *' \
  'ack.sequence() == in_flight_->sequence;
  if (ours) {' \
  'true;
  if (in_flight_.has_value()) {'
mutant full-report-is-a-delta core/reconcile/state_digest.cc 'state_digest_test *' \
  'if (report.full()) state = HostState{};' ''
mutant revoked-host-comes-in server/authorize.cc 'authorize_test *' \
  'if (host->revoked) {' 'if (false) {'
mutant retention-deletes-open-drift server/store/drift_retention.cc 'sqlite_store_test *' \
  'if (select.Int(1) != 0) ended.push_back(expiry.after);' 'ended.push_back(expiry.after);'
mutant audit-retention-without-its-row server/store/audit_retention.cc 'sqlite_store_test *' \
  'const std::uint64_t last = oldest.back().sequence();
  RETURN_IF_ERROR(SayDeleted(' \
  'const std::uint64_t last = oldest.back().sequence();
  if (now == absl::InfiniteFuture()) RETURN_IF_ERROR(SayDeleted('
mutant deleted-drift-comes-back server/store/drift_events.cc 'sqlite_store_test *' \
  'if (gone && !open) continue;' 'static_cast<void>(gone);'
mutant anybody-deletes-audit-rows server/store/schema.cc 'sqlite_store_test *' \
  'WHEN OLD.sequence >= COALESCE((SELECT lowest FROM audit_floor), 0)' 'WHEN 0'
mutant wire-number-changed proto/dumpwarden/v1/session.proto 'schema_test Versions/*' \
  'bool want_full = 3;  // the digest after the report differs' \
  'bool want_full = 4;  // the digest after the report differs'

mutant commits-are-not-synced platform/sqlite.cc 'simulation_test Simulation.WhatWasAcknowledged*' \
  '"PRAGMA synchronous=FULL"' '"PRAGMA synchronous=OFF"'
mutant commits-are-synced-at-checkpoints platform/sqlite.cc \
  'simulation_test Simulation.WhatWasAcknowledged*' \
  '"PRAGMA synchronous=FULL"' '"PRAGMA synchronous=NORMAL"'
mutant log-of-the-killed-is-not-synced platform/sqlite.cc 'simulation_test DiskTest.*' \
  'if (wal) RETURN_IF_ERROR(SyncLog(connection, path));' 'if (false) RETURN_IF_ERROR(SyncLog(connection, path));'
mutant compaction-forgets-the-first agent/event_queue.cc 'state_test:offline_test *' \
  'std::size_t first = 1;
  if (queue.size() > 1 && Ends(queue[1], queue[0])) first = 2;' \
  'std::size_t first = 0;'
mutant compaction-forgets-the-last agent/event_queue.cc 'state_test:offline_test *' \
  'kept.push_back(Fold(queue, first, last));
      i = last;' \
  'kept.push_back(Fold(queue, first, queue.size()));
      break;'
mutant compaction-forgets-the-count agent/event_queue.cc 'state_test:offline_test *' \
  'count += CountOf(queue[i]);' 'count += CountOf(queue[i]) > 0 ? 1 : 0;'
mutant queue-without-a-bound agent/state.cc 'state_test:offline_test *' \
  'if (count <= kMaxQueuedEvents) return absl::OkStatus();' 'return absl::OkStatus();'
mutant restored-server-keeps-what-is-over-open server/fleet/reports.cc 'reports_test *' \
  'hello.acknowledged > stored.sequence;' 'false;'
mutant restored-server-does-not-hear-what-is-open agent/state.cc 'epochs_test *' \
  'RETURN_IF_ERROR(QueueEvents(open));' 'static_cast<void>(open);'
mutant open-drift-is-told-as-any-other agent/reporter.cc 'epochs_test *' \
  '*report.mutable_open_drifts() = open;' ''
mutant open-drift-stays-over server/store/drift_events.cc 'sqlite_store_test *' \
  '?12 AND s.count = ?13 AND (?14 = 0 OR ' '?12 AND s.count = ?13 AND (?14 = ?14 OR '
mutant second-life-in-no-list server/store/drift_events.cc 'sqlite_store_test *' \
  'if (IsEnd(event)) RETURN_IF_ERROR(BeginAgain(' 'if (false) RETURN_IF_ERROR(BeginAgain('
mutant old-drift-of-another-name-stays-open server/store/drift_events.cc 'sqlite_store_test *' \
  'said ? drift.newest && open.contains(' 'said ? open.contains('
mutant over-drift-of-the-epoch-ends-the-open-one server/store/drift_events.cc 'sqlite_store_test *' \
  '"e.drift_sequence = n.sequence AND e.kind IN (2, 3))"));' \
  '"e.drift_sequence = n.sequence AND e.kind IN (9))"));'
mutant end-of-the-newest-of-a-number server/store/reports.h 'sqlite_store_test *StoreEpochs*' \
  '"y.kind = 1 AND y.event_id < x.event_id AND y.new_value = x.old_value), "' \
  '"y.kind = 1 AND y.event_id < x.event_id AND y.new_value = -1), "'
mutant newest-of-a-number-begins-again server/store/drift_events.cc 'sqlite_store_test *' \
  'ORDER BY s.new_value = ?5 DESC, s.event_id DESC LIMIT 1' \
  'ORDER BY ?5 IS NULL, s.event_id DESC LIMIT 1'
mutant beginning-is-made-up-anew agent/reconciler.cc 'epochs_test *' \
  'tracked_ = std::move(tracked);
  return absl::OkStatus();
}

v1::OpenDrifts' \
  'return absl::OkStatus();
}

v1::OpenDrifts'
mutant server-without-reports-is-not-noticed agent/reporter.cc 'epochs_test *' \
  'return !welcome.epoch().empty() || welcome.want_full();' \
  'return !welcome.epoch().empty();'
mutant enrolment-taken-back-forgets-drifts agent/agent.cc 'session_faults_test *TakenBack*' \
  'if (acts->has_value()) {  // not' \
  'reconciler_.ForgetDrifts();
  if (acts->has_value()) {  // not'
mutant epoch-comes-back server/store/reports.cc 'sqlite_store_test *' \
  'if (!known) return Order::kNewEpoch;' 'if (!known || known) return Order::kNewEpoch;'
mutant restored-server-gives-versions-out-again server/store/backup.cc 'sqlite_store_test *' \
  '"SELECT MAX(?1, COALESCE(MAX(at), 0)), ?2 FROM policy"' '"SELECT ?1, ?2"'
mutant commit-error-ignored platform/sqlite.cc 'state_faults_test *Acknowledgement*' \
  'if (status.ok()) status = Control("COMMIT");' \
  'if (status.ok()) Control("COMMIT").IgnoreError();'
mutant commit-not-synced platform/sqlite.cc 'state_faults_test *Acknowledgement*' \
  '"PRAGMA synchronous=FULL"' '"PRAGMA synchronous=NORMAL"'
mutant first-commit-not-synced platform/sqlite.cc 'state_faults_test *OpensOrSays*' \
  '"PRAGMA synchronous=FULL"' '"PRAGMA synchronous=OFF"'
mutant statement-given-back-in-use platform/sqlite.cc 'state_faults_test *' \
  'Reset();
    if (connection.idle.try_emplace' \
  'if (connection.idle.try_emplace'
mutant roll-back-forgotten platform/sqlite.cc 'state_faults_test *Acknowledgement*' \
  'if (!status.ok()) RollBack().IgnoreError();  // or before whatever comes next' ''
mutant roll-back-tried-once platform/sqlite.cc 'state_faults_test *Acknowledgement*' \
  'connection_->failed = true;
  return EndFailed(db_, *connection_);' \
  'connection_->failed = true;
  const absl::Status ended = EndFailed(db_, *connection_);
  connection_->failed = false;
  return ended;'
mutant half-a-body-committed platform/sqlite.cc 'store_faults_test *KeepsAReport*' \
  'if (!Execute("ROLLBACK TO part; RELEASE part").ok()) RollBack().IgnoreError();' \
  'Execute("ROLLBACK TO part; RELEASE part").IgnoreError();'
mutant bind-error-ignored platform/sqlite.cc 'state_faults_test *RecordsDrift*' \
  'if (bind_error_ != SQLITE_OK) {' 'if (false) {'
mutant step-error-is-the-end platform/sqlite.cc 'state_faults_test *ReadsRight*' \
  'if (code == SQLITE_DONE) return false;' 'if (code != SQLITE_BUSY) return false;'
mutant number-given-before-it-is-kept agent/state.cc 'state_faults_test *GivesANumber*' \
  'const std::uint64_t sent = std::max(last_sent_event_, last_event);' \
  'const std::uint64_t sent = std::max(last_sent_event_, last_event);
  ++next_report_;'
mutant no-sync-of-the-file core/base/vfs.cc 'registry_faults_test *' \
  'RETURN_IF_ERROR(vfs.Sync(temp));
  FAILPOINT' 'FAILPOINT'
mutant no-sync-of-the-registry agent/registry/replace_file.cc 'registry_faults_test *' \
  'return vfs.Sync(temp);' 'return absl::OkStatus();'
mutant cut-off-flush-not-mended core/reconcile/apply.cc 'replace_file_test *CutOffApply*' \
  'if (!cut_off) return absl::OkStatus();' 'if (cut_off) return absl::OkStatus();'
mutant note-before-the-temp-file agent/registry/replace_file.cc 'replace_file_test:registry_faults_test *' \
  'RETURN_IF_ERROR(vfs.SyncFolder(FolderOf(temp)));' ''
mutant earlier-note-stays agent/registry/replace_file.cc 'replace_file_test *' \
  'RETURN_IF_ERROR(RemoveDurably(vfs, file.note));
  RETURN_IF_ERROR(WriteTemp' 'RETURN_IF_ERROR(WriteTemp'
mutant old-copy-uses-up-the-renewals server/identity/renewal.cc 'renewal_test *' \
  'if (!(late ? late_rate_ : rate_).Take(' 'if (!rate_.Take('
mutant renewal-without-a-rest agent/renewer.cc 'renewer_test *' \
  'rests_until_ = parts_.clock.Monotonic() + kRenewalRest;' ''
mutant login-anew-takes-the-key-away cli/login_command.cc 'login_test *ACodeIsGoodOnce*' \
  'Sha256Hex(public_der).substr(0, kStemDigits)' 'code.id.substr(0, 8)'

list() {
  local row
  for row in "${MUTANTS[@]}"; do echo "${row%%$'\x1f'*}"; done
}

readonly COPY=build/mutants/source BUILD=build/mutants/source/build/dev
prepare() {
  rm -rf "$COPY"
  mkdir -p "$COPY"
  git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -t "$COPY"
  # As the preset dev lies in a checkout, so that ccache knows what that has built.
  (cd "$COPY" && cmake --preset dev >/dev/null)
}

substitute() {  # file; FROM and TO in the environment: exactly one place
  # shellcheck disable=SC2016  # perl's own variables
  perl -0777 -i -pe 'BEGIN { $from = $ENV{FROM}; $to = $ENV{TO}; }
    my $n = () = /\Q$from\E/g; $found += $n; s/\Q$from\E/$to/; END { exit($found == 1 ? 0 : 1) }' "$1"
}

build() { cmake --build "$BUILD" -j2 --target "$@" >build/mutants/build.log 2>&1; }

# 0: a test is red.  Otherwise says why not.
kill_one() {  # row
  local name file tests from to programs filter program begin=$SECONDS
  IFS=$'\x1f' read -r -d '' name file tests from to <<<"$1"$'\x1f' || true
  to=${to%$'\x1f'*}
  IFS=: read -r -a programs <<<"${tests%% *}"
  filter=${tests#* }
  cp -p "$COPY/$file" build/mutants/original
  if ! FROM=$from TO=$to substitute "$COPY/$file"; then
    echo "STALE    $name: $file has moved; write the mutant anew"
    cp -p build/mutants/original "$COPY/$file"
    return 1
  fi
  local caught=""
  if build "${programs[@]}"; then
    for program in "${programs[@]}"; do
      local code=0
      timeout 300 "$BUILD/tests/$program" --gtest_brief=1 --gtest_filter="$filter" >build/mutants/test.log 2>&1 || code=$?
      caught=$(sed -n 's/^\[  FAILED  \] \([A-Za-z/]*\.[A-Za-z0-9_/]*\).*/\1/p' build/mutants/test.log | head -n 1)
      # A crash counts; a program that did not start, or did not end, proves nothing.
      if [[ -z $caught && $code -ge 128 && $code -ne 137 ]]; then caught="$program crashed ($((code - 128)))"; fi
      [[ -z $caught ]] || break
    done
  else
    tail -n 20 build/mutants/build.log
    echo "BROKEN   $name: it does not compile"
  fi
  cp build/mutants/original "$COPY/$file"  # newer than what was built of the mutant
  if [[ -z $caught ]]; then
    echo "SURVIVED $name: no test of ${programs[*]} is red"
    return 1
  fi
  printf 'caught   %-36s by %s (%d s)\n' "$name" "$caught" $((SECONDS - begin))
}

wanted=("${MUTANTS[@]}")
case ${1:-} in
  --list) list && exit ;;
  --part)
    [[ ${2:-} =~ ^([0-9]+)/([1-9][0-9]*)$ ]] || { echo "mutants: --part K/N" >&2 && exit 64; }
    part=${BASH_REMATCH[1]} parts=${BASH_REMATCH[2]} wanted=()
    ((part >= 1 && part <= parts)) || { echo "mutants: --part K/N, K from 1 to N" >&2 && exit 64; }
    for ((i = part % parts; i < ${#MUTANTS[@]}; i += parts)); do wanted+=("${MUTANTS[i]}"); done
    ;;
  "") ;;
  *)
    wanted=()
    for name in "$@"; do
      for row in "${MUTANTS[@]}"; do [[ ${row%%$'\x1f'*} == "$name" ]] && wanted+=("$row"); done
    done
    ((${#wanted[@]} == $#)) || { echo "mutants: one of $* is none; see --list" >&2 && exit 64; }
    ;;
esac

prepare
# Sound first: a test that is red by itself would catch everything.
mapfile -t programs < <(printf '%s\n' "${wanted[@]}" | awk -v RS='\n' -F '\x1f' 'NF >= 3 { split($3, a, " "); gsub(":", "\n", a[1]); print a[1] }' | sort -u)
build "${programs[@]}" || { tail -n 30 build/mutants/build.log && exit 1; }
for program in "${programs[@]}"; do
  "$BUILD/tests/$program" --gtest_brief=1 >build/mutants/test.log 2>&1 ||
    { tail -n 30 build/mutants/test.log && echo "mutants: $program is red without a mutant" && exit 1; }
done
survivors=0
for row in "${wanted[@]}"; do kill_one "$row" || survivors=$((survivors + 1)); done
echo "$((${#wanted[@]} - survivors)) of ${#wanted[@]} mutants are caught, in $SECONDS s"
((survivors == 0))
