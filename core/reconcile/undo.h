// SPDX-License-Identifier: Apache-2.0
// The undo record as a file: a line that names the format, a line with the SHA-256 of the
// rest, and a v1.UndoRecord.  It is written durably, so it is whole, absent, or
// damaged by something else than us.
#ifndef DUMPWARDEN_CORE_RECONCILE_UNDO_H_
#define DUMPWARDEN_CORE_RECONCILE_UNDO_H_

#include <cstddef>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/catalog/registry_value.h"
#include "dumpwarden/v1/undo.pb.h"

namespace dumpwarden {

inline constexpr std::size_t kMaxUndoBytes = 64 * 1024 * 1024;

std::string FormatUndo(const v1::UndoRecord& record);
// kDataLoss when it is not what FormatUndo made.
absl::StatusOr<v1::UndoRecord> ParseUndo(absl::string_view bytes);

// What is above this is Windows' own and never absent.
inline constexpr absl::string_view kControlSetKey = "HKLM\\SYSTEM\\CurrentControlSet";

// A record may make us write and remove no more than an apply of a policy may: cells and keys of
// the table, folders of dump paths that its cells name, a backup beside the record.  kDataLoss.
absl::Status CheckUndo(const v1::UndoRecord& record);

void SetUndoValue(const std::optional<RegistryValue>& from, v1::UndoRecord::Value& to);
std::optional<RegistryValue> UndoValue(const v1::UndoRecord::Value& value);

// The record's cell, or null.  Names compare without case.
const v1::UndoRecord::Cell* FindUndoCell(const v1::UndoRecord& record, absl::string_view key,
                                         absl::string_view name);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_CORE_RECONCILE_UNDO_H_
