// SPDX-License-Identifier: Apache-2.0
#include "agent/registry/hive_writer.h"

#include <hivex.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/base/status_macros.h"
#include "core/base/text.h"

namespace dumpwarden {
namespace {

struct CloseHive {
  void operator()(hive_h* hive) const { hivex_close(hive); }
};

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() { close(fd_); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

absl::StatusOr<std::string> ReadAll(int descriptor) {
  std::string bytes;
  char buffer[65536];
  while (true) {
    const ssize_t count =
        pread(descriptor, buffer, sizeof(buffer), static_cast<off_t>(bytes.size()));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return absl::ErrnoToStatus(errno, "cannot read a hive from memory");
    if (count == 0) return bytes;
    bytes.append(buffer, static_cast<std::size_t>(count));
  }
}

std::vector<Hive::Value>::iterator FindValue(std::vector<Hive::Value>& values,
                                             const std::string& name) {
  return std::find_if(values.begin(), values.end(), [&name](const Hive::Value& value) {
    return dumpwarden::EqualsIgnoreCase(value.name, name);
  });
}

bool Equal(const std::vector<Hive::Value>& a, const std::vector<Hive::Value>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const Hive::Value& x, const Hive::Value& y) {
                      return x.name == y.name && x.value == y.value;
                    });
}

}  // namespace

absl::StatusOr<std::string> HiveWriter::Write(const std::vector<HiveEdit>& edits) {
  RETURN_IF_ERROR(Collect(edits));
  const bool any = std::any_of(targets_.begin(), targets_.end(),
                               [](const auto& target) { return target.second.changed; });
  if (!any) return ReadAll(hive_.memory_);
  const std::unique_ptr<hive_h, CloseHive> hive(
      hivex_open(PathOfDescriptor(hive_.memory_).c_str(), HIVEX_OPEN_WRITE));
  if (hive == nullptr) return Failed("cannot open for writing", "\\");
  for (const auto& [lower, target] : targets_) {
    if (target.changed && !target.deleted) RETURN_IF_ERROR(WriteTarget(hive.get(), target));
  }
  for (auto target = targets_.rbegin(); target != targets_.rend(); ++target) {  // children first
    if (target->second.deleted) RETURN_IF_ERROR(DeleteTarget(hive.get(), target->second));
  }
  return Commit(hive.get());
}

absl::Status HiveWriter::Collect(const std::vector<HiveEdit>& edits) {
  for (const HiveEdit& edit : edits) {
    ASSIGN_OR_RETURN(Target * target, TargetOf(edit.key));
    const auto value = FindValue(target->values, edit.name);
    if (edit.kind == HiveEdit::Kind::kDeleteKey) {
      RETURN_IF_ERROR(DeleteIfEmpty(*target));
    } else if (edit.kind == HiveEdit::Kind::kDelete) {
      if (value == target->values.end()) continue;
      target->values.erase(value);
      target->changed = true;
    } else {
      target->deleted = false;
      target->changed = true;
      if (value == target->values.end()) {
        target->values.push_back({edit.name, edit.value});
      } else {
        value->value = edit.value;
      }
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<HiveWriter::Target*> HiveWriter::TargetOf(const std::string& key) {
  const std::string lower = LowerAscii(key);
  const auto known = targets_.find(lower);
  if (known != targets_.end()) return &known->second;
  Target target;
  target.key = key;
  ASSIGN_OR_RETURN(target.existed, hive_.HasKey(key));
  if (target.existed) {
    RETURN_IF_ERROR(hive_.CheckCells(key));
    ASSIGN_OR_RETURN(target.values, hive_.Values(key));
  }
  return &targets_.emplace(lower, std::move(target)).first->second;
}

absl::Status HiveWriter::DeleteIfEmpty(Target& target) {
  if (!target.values.empty()) return absl::OkStatus();
  const std::string below = LowerAscii(target.key) + "\\";
  for (const auto& [lower, other] : targets_) {
    if (absl::StartsWith(lower, below) && !other.deleted && (other.existed || other.changed)) {
      return absl::OkStatus();
    }
  }
  if (target.existed) {
    ASSIGN_OR_RETURN(const std::vector<std::string> children, hive_.SubKeys(target.key));
    for (const std::string& child : children) {
      const auto known = targets_.find(below + LowerAscii(child));
      if (known == targets_.end() || !known->second.deleted) return absl::OkStatus();
    }
  }
  target.deleted = target.existed;
  target.changed = target.existed;
  return absl::OkStatus();
}

absl::Status HiveWriter::WriteTarget(hive_h* hive, const Target& target) {
  ASSIGN_OR_RETURN(const std::size_t node, MakeKey(hive, target.key));
  std::vector<Hive::Value> values = target.values;  // libhivex wants char*
  std::vector<hive_set_value> raw;
  for (Hive::Value& value : values) {
    if (value.value.data.size() > kMaxHiveValueBytes) {
      return absl::UnimplementedError(absl::StrCat(
          hive_.file_, ": key ", target.key, " holds a value of ", value.value.data.size(),
          " bytes; only keys whose values are at most ", kMaxHiveValueBytes, " can be edited"));
    }
    hive_set_value& set = raw.emplace_back();
    set.key = value.name.data();
    // A type that libhivex has no word for goes through all the same.
    static_assert(sizeof(set.t) == sizeof(value.value.type));
    std::memcpy(&set.t, &value.value.type, sizeof(set.t));
    set.len = value.value.data.size();
    set.value = value.value.data.data();
  }
  if (hivex_node_set_values(hive, node, raw.size(), raw.data(), 0) != 0) {
    return Failed("cannot write the values of", target.key);
  }
  return absl::OkStatus();
}

absl::Status HiveWriter::DeleteTarget(hive_h* hive, const Target& target) {
  ASSIGN_OR_RETURN(const std::size_t node, MakeKey(hive, target.key));
  if (hivex_node_delete_child(hive, node) == 0) return absl::OkStatus();
  return Failed("cannot remove", target.key);
}

absl::StatusOr<std::size_t> HiveWriter::MakeKey(hive_h* hive, absl::string_view key) {
  hive_node_h node = hivex_root(hive);
  for (const absl::string_view part : absl::StrSplit(key, '\\', absl::SkipEmpty())) {
    errno = 0;
    hive_node_h child = hivex_node_get_child(hive, node, std::string(part).c_str());
    if (child == 0 && errno != 0 && errno != HIVEX_NO_KEY) return Failed("cannot open", key);
    if (child == 0) child = hivex_node_add_child(hive, node, std::string(part).c_str());
    if (child == 0) return Failed("cannot make", key);
    node = child;
  }
  return node;
}

absl::StatusOr<std::string> HiveWriter::Commit(hive_h* hive) {
  ASSIGN_OR_RETURN(const int memory, MemoryFile(""));
  const Descriptor out(memory);
  if (hivex_commit(hive, PathOfDescriptor(out.get()).c_str(), 0) != 0) {
    return Failed("cannot write out", "\\");
  }
  ASSIGN_OR_RETURN(std::string bytes, ReadAll(out.get()));
  RETURN_IF_ERROR(Check(bytes));
  return bytes;
}

absl::Status HiveWriter::Check(absl::string_view bytes) {
  ASSIGN_OR_RETURN(const std::unique_ptr<Hive> written, Hive::Open(bytes, hive_.file_));
  for (const auto& [lower, target] : targets_) {
    if (!target.changed) continue;
    ASSIGN_OR_RETURN(const bool exists, written->HasKey(target.key));
    bool good = exists == !target.deleted;
    if (good && exists) {
      ASSIGN_OR_RETURN(const std::vector<Hive::Value> values, written->Values(target.key));
      good = Equal(values, target.values);
    }
    if (!good) {
      return absl::InternalError(absl::StrCat(hive_.file_, ": key ", target.key,
                                              " does not read back as written; the file was left "
                                              "as it is"));
    }
  }
  return absl::OkStatus();
}

absl::Status HiveWriter::Failed(absl::string_view what, absl::string_view key) const {
  return absl::DataLossError(absl::StrCat(hive_.file_, ": ", what, " key ", key, ": ",
                                          std::strerror(errno), "; the file was left as it is"));
}

}  // namespace dumpwarden
