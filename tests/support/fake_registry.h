// SPDX-License-Identifier: Apache-2.0
// A registry in memory that keeps what was flushed apart from what was only
// written, logs every change, and fails or loses power when told to.
#ifndef DUMPWARDEN_TESTS_SUPPORT_FAKE_REGISTRY_H_
#define DUMPWARDEN_TESTS_SUPPORT_FAKE_REGISTRY_H_

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "core/base/status_macros.h"
#include "core/base/text.h"
#include "core/reconcile/registry.h"
#include "tests/support/faults.h"

namespace dumpwarden {

class FakeRegistry : public Registry {
 public:
  struct Value {
    std::string name;  // as first written
    RegistryValue value;
    bool operator==(const Value&) const = default;
  };
  struct Key {
    std::string path;
    std::map<std::string, Value> values;  // by lower-case name
    bool operator==(const Key&) const = default;
  };
  using Keys = std::map<std::string, Key>;  // by lower-case path

  // What stands there before the test; durable at once, not logged.
  void Set(absl::string_view key, absl::string_view name, const RegistryValue& value) {
    Put(now_, key, name, value);
    Put(flushed_, key, name, value);
  }
  void Unset(absl::string_view key, absl::string_view name) {
    Erase(now_, key, name);
    Erase(flushed_, key, name);
  }
  // What another program writes now; seen here after the next Reload or Flush.
  void SetElsewhere(absl::string_view key, absl::string_view name, const RegistryValue& value) {
    Put(flushed_, key, name, value);
  }
  void AddKey(absl::string_view key) {
    MakeKeys(now_, key);
    MakeKeys(flushed_, key);
  }
  std::optional<RegistryValue> Get(absl::string_view key, absl::string_view name) const {
    return Find(now_, key, name);
  }
  const Keys& now() const { return now_; }
  const Keys& flushed() const { return flushed_; }
  // "set KEY NAME", "delete KEY NAME", "delete-key KEY", "flush", in order.
  const std::vector<std::string>& log() const { return log_; }
  void ClearLog() { log_.clear(); }

  void UseFaults(Faults& faults) { faults_ = &faults; }
  // A value that cannot be read: Read gives this status.
  void MakeUnreadable(absl::string_view key, absl::string_view name, absl::Status status) {
    unreadable_[CellId(key, name)] = std::move(status);
  }
  // Runs before each Write and Delete that the code under test makes, as another writer would.
  void Interfere(std::function<void(FakeRegistry&)> other) { other_ = std::move(other); }
  // Runs after each Flush that wrote something, before anything is read back.
  void InterfereAfterFlush(std::function<void(FakeRegistry&)> other) {
    after_flush_ = std::move(other);
  }
  // Writes of this cell are taken without an error and not done.
  void IgnoreWritesOf(absl::string_view key, absl::string_view name) {
    ignored_ = CellId(key, name);
  }
  // Power fails: of the unflushed changes only the first `kept` reached the disk, as it may
  // happen to a registry that writes by itself between flushes.
  void PowerCut(std::size_t kept = 0) {
    for (std::size_t i = 0; i < unflushed_.size() && i < kept; ++i) unflushed_[i].make(flushed_);
    Forget();
  }
  void RefuseWrites(absl::Status why) { writable_ = std::move(why); }
  void AddWarning(std::string warning) { warnings_.push_back(std::move(warning)); }
  void SetLastWrite(absl::string_view key, absl::Time at) { last_write_[LowerAscii(key)] = at; }

  absl::StatusOr<std::optional<RegistryValue>> Read(absl::string_view key,
                                                    absl::string_view name) override {
    RETURN_IF_ERROR(Check("Registry::Read"));
    const auto bad = unreadable_.find(CellId(key, name));
    if (bad != unreadable_.end()) return bad->second;
    return Find(now_, key, name);
  }
  absl::StatusOr<bool> HasKey(absl::string_view key) override {
    RETURN_IF_ERROR(Check("Registry::HasKey"));
    return now_.count(LowerAscii(key)) != 0;
  }
  absl::Status Write(absl::string_view key, absl::string_view name,
                     const RegistryValue& value) override {
    RETURN_IF_ERROR(Check("Registry::Write"));
    if (other_) other_(*this);
    log_.push_back(absl::StrCat("set ", key, " ", name));
    if (CellId(key, name) == ignored_ || Find(now_, key, name) == value) return absl::OkStatus();
    const std::string k(key);
    const std::string n(name);
    Do({k, n, Loaded(k, n), [k, n, value](Keys& keys) { Put(keys, k, n, value); }});
    return absl::OkStatus();
  }
  absl::Status Delete(absl::string_view key, absl::string_view name) override {
    RETURN_IF_ERROR(Check("Registry::Delete"));
    if (other_) other_(*this);
    log_.push_back(absl::StrCat("delete ", key, " ", name));
    if (CellId(key, name) == ignored_ || !Find(now_, key, name)) return absl::OkStatus();
    const std::string k(key);
    const std::string n(name);
    Do({k, n, Loaded(k, n), [k, n](Keys& keys) { Erase(keys, k, n); }});
    return absl::OkStatus();
  }
  absl::Status DeleteKeyIfEmpty(absl::string_view key) override {
    RETURN_IF_ERROR(Check("Registry::DeleteKeyIfEmpty"));
    const std::string lower = LowerAscii(key);
    const auto found = now_.find(lower);
    if (found == now_.end() || !found->second.values.empty() || HasSubKey(lower)) {
      return absl::OkStatus();
    }
    log_.push_back(absl::StrCat("delete-key ", key));
    Do({lower, std::nullopt, std::nullopt, [lower](Keys& keys) { keys.erase(lower); }});
    return absl::OkStatus();
  }
  absl::Status CheckWritable(absl::string_view) override {
    RETURN_IF_ERROR(Check("Registry::CheckWritable"));
    return writable_;
  }
  absl::Status Flush() override {
    RETURN_IF_ERROR(Check("Registry::Flush"));
    if (unflushed_.empty()) return absl::OkStatus();
    for (const Edit& edit : unflushed_) {
      if (edit.name && Find(flushed_, edit.key, *edit.name) != edit.before) {
        return ChangedMeanwhile(edit.key, *edit.name);
      }
    }
    log_.push_back("flush");
    for (const Edit& edit : unflushed_) edit.make(flushed_);
    Forget();
    if (after_flush_) after_flush_(*this);
    return absl::OkStatus();
  }
  absl::Status Reload() override {
    RETURN_IF_ERROR(Check("Registry::Reload"));
    Forget();
    return absl::OkStatus();
  }
  std::optional<absl::Time> LastWrite(absl::string_view key) override {
    const auto found = last_write_.find(LowerAscii(key));
    if (found == last_write_.end()) return std::nullopt;
    return found->second;
  }
  std::vector<std::string> Warnings() override { return warnings_; }

 private:
  struct Edit {
    std::string key;
    std::optional<std::string> name;  // none: the key itself
    std::optional<RegistryValue> before;
    std::function<void(Keys&)> make;
  };

  static std::string CellId(absl::string_view key, absl::string_view name) {
    return LowerAscii(absl::StrCat(key, "\n", name));
  }
  static void MakeKeys(Keys& keys, absl::string_view key) {
    for (std::size_t end = key.find('\\'); end != absl::string_view::npos;
         end = key.find('\\', end + 1)) {
      const std::string parent(key.substr(0, end));
      keys.try_emplace(LowerAscii(parent), Key{parent, {}});
    }
    keys.try_emplace(LowerAscii(key), Key{std::string(key), {}});
  }
  static void Put(Keys& keys, absl::string_view key, absl::string_view name,
                  const RegistryValue& value) {
    MakeKeys(keys, key);
    auto& values = keys[LowerAscii(key)].values;
    values.try_emplace(LowerAscii(name), Value{std::string(name), {}}).first->second.value = value;
  }
  static void Erase(Keys& keys, absl::string_view key, absl::string_view name) {
    const auto found = keys.find(LowerAscii(key));
    if (found != keys.end()) found->second.values.erase(LowerAscii(name));
  }
  static std::optional<RegistryValue> Find(const Keys& keys, absl::string_view key,
                                           absl::string_view name) {
    const auto found = keys.find(LowerAscii(key));
    if (found == keys.end()) return std::nullopt;
    const auto value = found->second.values.find(LowerAscii(name));
    if (value == found->second.values.end()) return std::nullopt;
    return value->second.value;
  }
  bool HasSubKey(const std::string& lower) const {
    const auto next = now_.upper_bound(lower + "\\");
    return next != now_.end() && absl::StartsWith(next->first, lower + "\\");
  }
  // What the cell held when it was read from the disk last.
  std::optional<RegistryValue> Loaded(const std::string& key, const std::string& name) const {
    for (const Edit& edit : unflushed_) {
      if (edit.name && CellId(edit.key, *edit.name) == CellId(key, name)) return edit.before;
    }
    return Find(now_, key, name);
  }
  void Do(Edit edit) {
    edit.make(now_);
    unflushed_.push_back(std::move(edit));
  }
  void Forget() {
    unflushed_.clear();
    now_ = flushed_;
  }
  absl::Status Check(const char* call) {
    return faults_ == nullptr ? absl::OkStatus() : faults_->Check(call);
  }

  Keys now_;
  Keys flushed_;
  std::vector<Edit> unflushed_;
  std::vector<std::string> log_;
  std::map<std::string, absl::Status> unreadable_;
  std::map<std::string, absl::Time> last_write_;
  std::vector<std::string> warnings_;
  std::string ignored_;
  absl::Status writable_;
  std::function<void(FakeRegistry&)> other_;
  std::function<void(FakeRegistry&)> after_flush_;
  Faults* faults_ = nullptr;
};

}  // namespace dumpwarden

#endif  // DUMPWARDEN_TESTS_SUPPORT_FAKE_REGISTRY_H_
