// SPDX-License-Identifier: Apache-2.0
// Times are Unix microseconds.  Every key is the dense host_id; uuids stand in
// `host` only.  `host_state` is hot: narrow, and without secondary indexes.
#include "server/store/schema.h"

namespace dumpwarden {
namespace {

constexpr absl::string_view kFirst = R"sql(
CREATE TABLE host (
  host_id INTEGER PRIMARY KEY,
  uuid TEXT NOT NULL UNIQUE,
  name TEXT NOT NULL,
  host_key BLOB NOT NULL,
  enrolled INTEGER NOT NULL,
  agent_version TEXT NOT NULL DEFAULT '',
  revoked INTEGER NOT NULL DEFAULT 0,
  quarantined INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE host_label (
  host_id INTEGER NOT NULL REFERENCES host,
  key TEXT NOT NULL,
  value TEXT NOT NULL,
  PRIMARY KEY (host_id, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE host_state (
  host_id INTEGER PRIMARY KEY REFERENCES host,
  last_seen INTEGER,               -- null = never
  epoch BLOB NOT NULL DEFAULT x'', -- of the last report; empty = none yet
  sequence INTEGER NOT NULL DEFAULT 0,
  state_digest BLOB NOT NULL DEFAULT x'',
  facts_digest BLOB NOT NULL DEFAULT x'',
  policy_digest BLOB NOT NULL DEFAULT x'',
  state INTEGER NOT NULL DEFAULT 0 -- v1.Status, the worst finding
) STRICT;

CREATE TABLE facts (
  host_id INTEGER PRIMARY KEY REFERENCES host,
  message BLOB NOT NULL            -- v1.Facts
) STRICT;

CREATE TABLE cell (
  host_id INTEGER NOT NULL REFERENCES host,
  key TEXT NOT NULL,
  name TEXT NOT NULL,
  position INTEGER NOT NULL,       -- table order, as the agent sent it
  present INTEGER NOT NULL,
  type INTEGER NOT NULL,
  data BLOB NOT NULL,
  error TEXT NOT NULL,
  PRIMARY KEY (host_id, key, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE observation_rest (
  host_id INTEGER PRIMARY KEY REFERENCES host,
  message BLOB NOT NULL            -- v1.Observation without cells
) STRICT;

CREATE TABLE finding (
  host_id INTEGER NOT NULL REFERENCES host,
  mode INTEGER NOT NULL,
  setting TEXT NOT NULL,
  status INTEGER NOT NULL,
  desired TEXT NOT NULL,
  configured TEXT NOT NULL,
  policy TEXT NOT NULL,
  policy_version INTEGER NOT NULL,
  reason TEXT NOT NULL,
  PRIMARY KEY (host_id, mode, setting)
) STRICT, WITHOUT ROWID;

CREATE TABLE drift_event (
  event_id INTEGER PRIMARY KEY AUTOINCREMENT,
  host_id INTEGER NOT NULL REFERENCES host,
  epoch BLOB NOT NULL,
  sequence INTEGER NOT NULL,
  kind INTEGER NOT NULL,
  setting TEXT NOT NULL,
  mode INTEGER NOT NULL,
  old_value TEXT NOT NULL,
  new_value TEXT NOT NULL,
  desired TEXT NOT NULL,
  policy TEXT NOT NULL,
  host_time INTEGER NOT NULL,
  server_time INTEGER NOT NULL,
  drift_sequence INTEGER NOT NULL,
  count INTEGER NOT NULL,
  UNIQUE (host_id, epoch, sequence)
) STRICT;
CREATE INDEX drift_end ON drift_event (host_id, epoch, drift_sequence) WHERE kind IN (2, 3);
CREATE INDEX drift_of_host ON drift_event (host_id, event_id) WHERE kind IN (1, 4);
CREATE INDEX drift_start ON drift_event (event_id) WHERE kind IN (1, 4);
CREATE TRIGGER drift_event_is_kept BEFORE DELETE ON drift_event
BEGIN SELECT RAISE(ABORT, 'drift events are never deleted'); END;
CREATE TRIGGER drift_event_stands BEFORE UPDATE ON drift_event
BEGIN SELECT RAISE(ABORT, 'drift events are never changed'); END;

CREATE TABLE policy (
  name TEXT NOT NULL,
  version INTEGER NOT NULL,
  yaml BLOB NOT NULL,
  digest BLOB NOT NULL,
  author TEXT NOT NULL,
  at INTEGER NOT NULL,
  PRIMARY KEY (name, version)
) STRICT;

CREATE TABLE policy_in_force (
  name TEXT PRIMARY KEY,
  version INTEGER NOT NULL,
  FOREIGN KEY (name, version) REFERENCES policy
) STRICT, WITHOUT ROWID;

CREATE TABLE token (
  token_id TEXT PRIMARY KEY,
  secret_digest BLOB NOT NULL,
  expected_name TEXT NOT NULL,     -- empty = any
  expires INTEGER NOT NULL,
  used INTEGER,                    -- when; null = not yet
  used_by INTEGER REFERENCES host
) STRICT;

CREATE TABLE token_label (
  token_id TEXT NOT NULL REFERENCES token,
  key TEXT NOT NULL,
  value TEXT NOT NULL,
  PRIMARY KEY (token_id, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE audit (
  sequence INTEGER PRIMARY KEY AUTOINCREMENT,
  at INTEGER NOT NULL,
  actor TEXT NOT NULL,
  source TEXT NOT NULL,
  action TEXT NOT NULL,
  object TEXT NOT NULL,
  detail TEXT NOT NULL,
  before BLOB NOT NULL,
  after BLOB NOT NULL
) STRICT;
CREATE INDEX audit_action ON audit (action, sequence);
CREATE TRIGGER audit_is_kept BEFORE DELETE ON audit
BEGIN SELECT RAISE(ABORT, 'audit rows are never deleted'); END;
CREATE TRIGGER audit_stands BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'audit rows are never changed'); END;
)sql";

// A drift is known by its number over a change of epoch too.
constexpr absl::string_view kAcrossEpochs = R"sql(
DROP INDEX drift_end;
CREATE INDEX drift_end ON drift_event (host_id, drift_sequence) WHERE kind IN (2, 3);
CREATE INDEX drift_number ON drift_event (host_id, sequence);
)sql";

// The server asks every second whether a token is open.
constexpr absl::string_view kOpenTokens = R"sql(
CREATE INDEX token_open ON token (expires) WHERE used IS NULL;
)sql";

// old_drifts: drifts of an earlier epoch may be open; each report looks for them while it is 1.
// restored: how many versions of a policy a server before each restore may have given out.
constexpr absl::string_view kRestores = R"sql(
ALTER TABLE host_state ADD COLUMN old_drifts INTEGER NOT NULL DEFAULT 1;
CREATE TABLE restored (
  at INTEGER NOT NULL,             -- microseconds
  versions INTEGER NOT NULL
) STRICT;
)sql";

// What retention may let go of, and nobody else.  drift_gone: an event that went, so that a host
// that tells it again is not believed; it goes before its drift does, and an open drift does not
// go. audit_floor: rows below it go; it rises only right after the audit row that says so.
// OR REPLACE deletes without the triggers of DELETE: those of INSERT refuse what is there already.
constexpr absl::string_view kRetention = R"sql(
CREATE TABLE drift_gone (
  host_id INTEGER NOT NULL REFERENCES host,
  sequence INTEGER NOT NULL,
  digest BLOB NOT NULL,
  PRIMARY KEY (host_id, sequence, digest)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER drift_gone_is_kept BEFORE DELETE ON drift_gone
BEGIN SELECT RAISE(ABORT, 'what is known of deleted drift is never deleted'); END;
CREATE TRIGGER drift_gone_stands BEFORE UPDATE ON drift_gone
BEGIN SELECT RAISE(ABORT, 'what is known of deleted drift is never deleted or changed'); END;
CREATE TRIGGER drift_event_is_new BEFORE INSERT ON drift_event
WHEN EXISTS (SELECT 1 FROM drift_event d WHERE d.event_id = NEW.event_id) OR
  EXISTS (SELECT 1 FROM drift_event d WHERE d.host_id = NEW.host_id AND d.epoch = NEW.epoch AND
          d.sequence = NEW.sequence)
BEGIN SELECT RAISE(ABORT, 'drift events are never deleted, nor replaced'); END;
DROP TRIGGER drift_event_is_kept;
CREATE TRIGGER drift_event_is_kept BEFORE DELETE ON drift_event
WHEN NOT EXISTS (SELECT 1 FROM drift_gone g
                 WHERE g.host_id = OLD.host_id AND g.sequence = OLD.sequence) OR
  OLD.kind = 1 AND NOT EXISTS (SELECT 1 FROM drift_event x WHERE x.host_id = OLD.host_id AND
                               x.drift_sequence = OLD.sequence AND x.kind IN (2, 3))
BEGIN SELECT RAISE(ABORT, 'drift events are never deleted, but by retention'); END;

CREATE TABLE audit_floor (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  lowest INTEGER NOT NULL          -- that is kept; 1 = all
) STRICT;
INSERT INTO audit_floor VALUES (1, 1);
CREATE TRIGGER audit_floor_rises BEFORE UPDATE ON audit_floor
WHEN NEW.id <> OLD.id OR NEW.lowest <= OLD.lowest OR
  NEW.lowest > (SELECT MAX(sequence) FROM audit) OR
  'retention.delete audit' <> (SELECT action || ' ' || object FROM audit
                               ORDER BY sequence DESC LIMIT 1)
BEGIN SELECT RAISE(ABORT, 'audit rows are never deleted without a row that says so'); END;
CREATE TRIGGER audit_floor_is_one BEFORE INSERT ON audit_floor
BEGIN SELECT RAISE(ABORT, 'the floor of the audit log is never deleted, nor replaced'); END;
CREATE TRIGGER audit_floor_is_kept BEFORE DELETE ON audit_floor
BEGIN SELECT RAISE(ABORT, 'the floor of the audit log is never deleted'); END;

CREATE TABLE retention_clock (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  at INTEGER NOT NULL,             -- the last time that was believed
  doubted INTEGER,                 -- what the clock said last; null = it is believed
  doubted_for INTEGER NOT NULL     -- microseconds that were looked on meanwhile
) STRICT;

DROP TRIGGER audit_is_kept;
CREATE TRIGGER audit_is_kept BEFORE DELETE ON audit
WHEN OLD.sequence >= COALESCE((SELECT lowest FROM audit_floor), 0)
BEGIN SELECT RAISE(ABORT, 'audit rows are never deleted, but by retention'); END;
CREATE TRIGGER audit_is_new BEFORE INSERT ON audit  -- -1: no number is given
WHEN NEW.sequence <> -1 AND NEW.sequence <= (SELECT MAX(sequence) FROM audit)
BEGIN SELECT RAISE(ABORT, 'audit rows are never deleted, nor replaced'); END;
)sql";

// People, what they may do, and which certificates they go by.  unlisted: any certificate of that
// name is hers, because an earlier server kept no list; until she is revoked.  Only the operator of
// `init` had one then, named by its audit row; a database without an audit row is new.
constexpr absl::string_view kPeople = R"sql(
CREATE TABLE person (
  person_id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  added INTEGER NOT NULL,
  revoked INTEGER,                 -- when; null = not
  unlisted INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE person_role (
  person_id INTEGER NOT NULL REFERENCES person,
  role TEXT NOT NULL,
  PRIMARY KEY (person_id, role)
) STRICT, WITHOUT ROWID;

CREATE TABLE person_certificate (
  serial TEXT PRIMARY KEY,         -- lower-case hex
  person_id INTEGER NOT NULL REFERENCES person,
  expires INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX certificate_of_person ON person_certificate (person_id);

CREATE TABLE login_code (
  code_id TEXT PRIMARY KEY,
  secret_digest BLOB NOT NULL,
  person_id INTEGER NOT NULL REFERENCES person,
  expires INTEGER NOT NULL,
  used INTEGER                     -- when; null = not yet
) STRICT;
CREATE INDEX login_code_open ON login_code (expires) WHERE used IS NULL;

INSERT INTO person (name, added, unlisted)
SELECT COALESCE((SELECT substr(detail, instr(detail, ', operator ') + 11) FROM audit
                 WHERE action = 'server.init' AND instr(detail, ', operator ') > 0
                 ORDER BY sequence LIMIT 1), 'admin'),
       (SELECT MIN(at) FROM audit), 1
WHERE EXISTS (SELECT 1 FROM audit);
INSERT INTO person_role SELECT person_id, 'admin' FROM person;
)sql";

// A host that is held waits for an operator: it enrolled with a token that says so, or asked for
// another certificate when its own had expired.
constexpr absl::string_view kHolds = R"sql(
ALTER TABLE host ADD COLUMN hold INTEGER NOT NULL DEFAULT 0;
ALTER TABLE token ADD COLUMN hold INTEGER NOT NULL DEFAULT 0;
ALTER TABLE token ADD COLUMN revoked INTEGER;  -- when; null = not
)sql";

}  // namespace

std::vector<absl::string_view> Migrations() {
  return {kFirst, kAcrossEpochs, kOpenTokens, kRestores, kRetention, kPeople, kHolds};
}

}  // namespace dumpwarden
