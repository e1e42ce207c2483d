#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Writes the seeds that are made of other files of the project: policies, facts,
# registries, and conversations from the text messages below.
set -euo pipefail
cd "$(dirname "$0")/../.."
readonly CORPUS=tests/fuzz/corpus

# A message of dumpwarden.v1 in text, with its length before it.
frame() {  # type, text
  local bytes size
  bytes=$(mktemp)
  protoc --proto_path=proto --encode="dumpwarden.v1.$1" dumpwarden/v1/session.proto <<<"$2" >"$bytes"
  size=$(stat -c %s "$bytes")
  # shellcheck disable=SC2059  # the format is made here
  printf "\\x$(printf %02x $((size % 256)))\\x$(printf %02x $((size / 256)))"
  cat "$bytes"
  rm "$bytes"
}

# A call of an operator, or an enrolment: the method's number in admin_wire_fuzz.cc before the request.
call() {  # method, type, text
  local bytes size
  bytes=$(mktemp)
  # shellcheck disable=SC2059
  printf "\\x$(printf %02x "$1")" >"$bytes"
  protoc --proto_path=proto --encode="dumpwarden.v1.$2" dumpwarden/v1/admin.proto dumpwarden/v1/enrollment.proto \
    <<<"$3" >>"$bytes"
  size=$(stat -c %s "$bytes")
  # shellcheck disable=SC2059
  printf "\\x$(printf %02x $((size % 256)))\\x$(printf %02x $((size / 256)))"
  cat "$bytes"
  rm "$bytes"
}

mkdir -p "$CORPUS"/{admin_wire,agent_files,agent_wire,dumpctl_config,hive,policy,reg_file,server_config,server_wire}
cp policies/*.yaml "$CORPUS/policy/"
cp deploy/quickstart/*.reg "$CORPUS/reg_file/"
iconv -f UTF-8 -t UTF-16LE deploy/quickstart/sql-01.reg >"$CORPUS/reg_file/utf16.reg"
cp tests/golden/hives/minimal.hive "$CORPUS/hive/"
for facts in deploy/quickstart/*.facts.yaml; do
  { printf '\x01' && cat "$facts"; } >"$CORPUS/agent_files/$(basename "$facts")"
done
printf '\x00server: dw.example:7443\nregistry: hive:SYSTEM,SOFTWARE\nfacts: facts.yaml\ndata: /var/lib/dumpwarden\ncheck-seconds: 300\n' \
  >"$CORPUS/agent_files/agent.yaml"
printf '\x03dwt1.%s.%s.%s.1790000000' "$(printf '0%.0s' {1..32})" "$(printf '1%.0s' {1..64})" "$(printf '2%.0s' {1..64})" \
  >"$CORPUS/agent_files/token"
cat >"$CORPUS/dumpctl_config/one.yaml" <<'YAML'
current: lab
contexts: [ { name: lab, server: '127.0.0.1:7443', ca: ca.crt, certificate: me.crt, key: me.key } ]
YAML
cat >"$CORPUS/server_config/one.yaml" <<'YAML'
trust-domain: corp.example
listeners: { agents: '0.0.0.0:7443', enrollment: '0.0.0.0:7444' }
store: store.db
tls: { chain: server.crt, key: server.key }
ca: ca
names: [ dw.corp.example ]
limits: { sessions: 1000, check-in-seconds: 60 }
YAML

policy=$(cat policies/servers.yaml)
yaml=$(sed 's/\\/\\\\/g; s/"/\\"/g' <<<"$policy" | awk '{ printf "%s\\n", $0 }')
{
  frame ServerMessage "policy_set { entries { name: 'servers' version: 1 } }"
  frame ServerMessage "policy_document { name: 'servers' version: 1 yaml: \"$yaml\" }"
  frame ServerMessage "ack { epoch: 'e' sequence: 1 want_full: true }"
  frame ServerMessage "probe { nonce: 'n' }"
  frame ServerMessage "goodbye { reason: REASON_DRAIN message: 'later' reconnect_window_ms: 1000 }"
} >"$CORPUS/agent_wire/policies"
frame ServerMessage "welcome { protocol: 1 check_in_seconds: 1 reconnect_window_ms: 1 want_full: true want_facts: true }" \
  >"$CORPUS/agent_wire/welcome"
hello="hello { protocol_min: 1 protocol_max: 1 agent_version: '0.1.0' instance: 'i' host_name: 'web-01' epoch: 'eeeeeeeeeeeeeeee' }"
finding="findings { setting: 'dump.type' status: STATUS_DRIFTED mode: MODE_ENFORCE desired: 'kernel' configured: 'small' policy: 'servers' policy_version: 1 }"
event="events { sequence: 1 kind: KIND_DRIFTED setting: 'dump.type' mode: MODE_ENFORCE old_value: 'kernel' new_value: 'small' desired: 'kernel' policy: 'servers' at { seconds: 1790000000 } }"
{
  frame AgentMessage "$hello"
  frame AgentMessage "facts { os { build: 20348 product: 'server' } memory { bytes: 17179869184 } volumes { path: 'C:\\\\' kind: 'fixed' total: 100 free: 50 boot: true } volumes_known: true }"
  frame AgentMessage "report { epoch: 'eeeeeeeeeeeeeeee' sequence: 1 full: true $finding $event state_digest: 'd' policy_digest: 'p' at { seconds: 1790000000 } }"
  frame AgentMessage "check_in { sequence: 1 policy_digest: 'p' state_digest: 'd' }"
  frame AgentMessage "policy_request { digests: 'x' }"
  frame AgentMessage "probe_reply { nonce: 'n' instance: 'i' }"
} >"$CORPUS/server_wire/session"
{
  call 0 ApplyPoliciesRequest "policies { file: 'servers.yaml' yaml: \"$yaml\" }"
  call 4 PlanPoliciesRequest "policies { file: 'servers.yaml' yaml: \"$yaml\" }"
  call 5 PlanPoliciesRequest "policies { file: 'servers.yaml' yaml: \"$yaml\" }"
  call 2 ListPoliciesRequest ""
  call 3 GetPolicyRequest "name: 'servers' version: 1"
  call 1 DeletePolicyRequest "name: 'servers' dry_run: true"
} >"$CORPUS/admin_wire/policies"
{
  call 6 ListHostsRequest "label_selector: 'role=sql' state: 'drifted'"
  call 7 GetHostRequest "host: 'host-1'"
  call 8 ExplainHostRequest "host: 'host-1' setting: 'dump.type'"
  call 9 SummarizeComplianceRequest "label_selector: 'role=sql'"
  call 10 ListDriftRequest "host: 'host-1' limit: 10 before_cursor: 3"
  call 11 CreateTokenRequest "labels { key: 'role' value: 'sql' } ttl_seconds: 60 expected_name: 'web-01'"
  call 12 ReportComplianceRequest "label_selector: 'role=sql' status: 'drifted'"
  call 13 ListAuditRequest "limit: 10 before_sequence: 5 action: 'policy.apply'"
  call 14 EnrollRequest "token: 'dwt1.$(printf '0%.0s' {1..32}).$(printf '1%.0s' {1..64}).$(printf '2%.0s' {1..64}).1790000000' csr: 'c' host_key: 'k' host_key_proof: 'p' host_name: 'web-01'"
} >"$CORPUS/admin_wire/reads"
