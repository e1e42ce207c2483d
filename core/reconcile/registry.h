// SPDX-License-Identifier: Apache-2.0
#ifndef DUMPWARDEN_CORE_RECONCILE_REGISTRY_H_
#define DUMPWARDEN_CORE_RECONCILE_REGISTRY_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "core/catalog/registry_value.h"

namespace dumpwarden {

// Registry is the part of a Windows registry that the catalogue names.  Keys
// are HKLM\SYSTEM\CurrentControlSet\... whatever is behind; names compare
// without case and keep the spelling they were first written with.  What every
// implementation must do is tests/contract/registry_contract.h.  Not
// thread-safe: one owner.
class Registry {
 public:
  virtual ~Registry() = default;
  // Absent (value or key) is nullopt, not an error.
  virtual absl::StatusOr<std::optional<RegistryValue>> Read(absl::string_view key,
                                                            absl::string_view name) = 0;
  virtual absl::StatusOr<bool> HasKey(absl::string_view key) = 0;
  // Makes the key, and its parents below the control set, when absent.
  virtual absl::Status Write(absl::string_view key, absl::string_view name,
                             const RegistryValue& value) = 0;
  // Absent is not an error.
  virtual absl::Status Delete(absl::string_view key, absl::string_view name) = 0;
  // Removes a key that has neither values nor sub keys; otherwise leaves it. Absent is not an
  // error.
  virtual absl::Status DeleteKeyIfEmpty(absl::string_view key) = 0;
  // Why values of the key cannot be changed, whatever they are; asked before anything is touched.
  virtual absl::Status CheckWritable(absl::string_view key) = 0;
  // Makes everything written since the last Flush durable, at once where the implementation can
  // (a file).  Touches nothing when nothing was written.  What another program changed meanwhile
  // stays: kAborted, and nothing is written, when it is a value that was written or deleted here
  // (until Reload).  A registry that writes through cannot tell: whoever writes reads first.
  virtual absl::Status Flush() = 0;
  // Reads what is behind anew; drops what was written and not flushed.
  virtual absl::Status Reload() = 0;
  // A Flush was cut off by a kill, and it is not known yet what it took out.
  virtual absl::StatusOr<bool> WasCutOff() { return false; }
  // Puts back what another program had written in that instant, and reads anew.  What an admin must
  // know of it, one line each.  The caller holds the lock, and has done nothing else yet.
  virtual absl::StatusOr<std::vector<std::string>> Mend() { return std::vector<std::string>(); }
  // When the key was last written; nullopt when this registry cannot tell.
  virtual std::optional<absl::Time> LastWrite(absl::string_view key) = 0;
  // What an admin must know of the whole: a dirty hive, Select\Default that differs.
  virtual std::vector<std::string> Warnings() = 0;
};

// kAborted.
inline absl::Status ChangedMeanwhile(absl::string_view key, absl::string_view name) {
  return absl::AbortedError(
      absl::StrCat(key, "\\", name, " was changed by another program meanwhile"));
}

}  // namespace dumpwarden

#endif  // DUMPWARDEN_CORE_RECONCILE_REGISTRY_H_
