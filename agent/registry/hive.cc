// SPDX-License-Identifier: Apache-2.0
#include "agent/registry/hive.h"

#include <fcntl.h>
#include <hivex.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "agent/registry/hive_writer.h"
#include "core/base/status_macros.h"
#include "core/base/text.h"

namespace dumpwarden {
namespace {

struct Free {
  void operator()(void* memory) const { std::free(memory); }
};
template <typename T>
using Malloced = std::unique_ptr<T, Free>;

std::uint32_t Number(absl::string_view bytes, std::size_t at) {
  std::uint32_t number = 0;
  std::memcpy(&number, bytes.data() + at, sizeof(number));  // little-endian machines only
  return number;
}

constexpr std::size_t kBaseBlock = 4096;
constexpr std::size_t kDataSizeAt = 40;
constexpr std::size_t kChecksumAt = 508;
constexpr std::size_t kValueListAt = 44;  // in the cell of a key, its length included

std::string DirtOf(absl::string_view bytes) {
  const std::uint32_t primary = Number(bytes, 4);
  const std::uint32_t secondary = Number(bytes, 8);
  if (primary == secondary) return "";
  return absl::StrCat("primary sequence ", primary, ", secondary ", secondary);
}

absl::Status CheckBaseBlock(absl::string_view bytes, const std::string& file) {
  if (!absl::StartsWith(bytes, "regf")) {
    return absl::InvalidArgumentError(
        absl::StrCat(file, ": not a registry hive (it does not begin with \"regf\")"));
  }
  if (bytes.size() < 2 * kBaseBlock) {
    return absl::DataLossError(absl::StrCat(file, ": a hive of ", bytes.size(),
                                            " bytes is cut off; the least is ", 2 * kBaseBlock));
  }
  std::uint32_t sum = 0;
  for (std::size_t at = 0; at < kChecksumAt; at += 4) sum ^= Number(bytes, at);
  if (sum == 0) sum = 1;
  if (sum == 0xffffffff) sum = 0xfffffffe;
  if (sum != Number(bytes, kChecksumAt)) {
    return absl::DataLossError(absl::StrCat(
        file, ": the base block of the hive has a wrong checksum; take a new copy of the hive"));
  }
  // libhivex takes as much memory as this says.
  const std::uint32_t data = Number(bytes, kDataSizeAt);
  if (data <= bytes.size() - kBaseBlock) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat(file, ": the hive says that it has ", data,
                                          " bytes of data, and the file has ",
                                          bytes.size() - kBaseBlock, "; take a new copy of it"));
}

}  // namespace

absl::StatusOr<int> MemoryFile(absl::string_view bytes) {
  const int memory = memfd_create("dumpwarden-hive", MFD_CLOEXEC);
  if (memory < 0) return absl::ErrnoToStatus(errno, "cannot make a file in memory");
  while (!bytes.empty()) {
    const ssize_t written = write(memory, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      const absl::Status status = absl::ErrnoToStatus(errno, "cannot hold a hive in memory");
      close(memory);
      return status;
    }
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return memory;
}

std::string PathOfDescriptor(int descriptor) { return absl::StrCat("/proc/self/fd/", descriptor); }

absl::StatusOr<std::unique_ptr<Hive>> Hive::Open(absl::string_view bytes, std::string file) {
  RETURN_IF_ERROR(CheckBaseBlock(bytes, file));
  ASSIGN_OR_RETURN(const int memory, MemoryFile(bytes));
  hive_h* hive = hivex_open(PathOfDescriptor(memory).c_str(), 0);
  if (hive == nullptr) {
    const int error = errno;
    close(memory);
    return absl::DataLossError(absl::StrCat(file, ": the hive is damaged (", std::strerror(error),
                                            "); take a new copy of it"));
  }
  std::unique_ptr<Hive> out(new Hive(std::move(file), memory, hive));
  out->dirt_ = DirtOf(bytes);
  return out;
}

Hive::Hive(std::string file, int memory, hive_h* hive)
    : file_(std::move(file)), memory_(memory), hive_(hive) {}

Hive::~Hive() {
  hivex_close(hive_);
  close(memory_);
}

absl::Status Hive::Broken(absl::string_view key) const {
  return absl::DataLossError(absl::StrCat(file_, ": the hive is damaged at key ", key, " (",
                                          std::strerror(errno), "); take a new copy of it"));
}

absl::StatusOr<bool> Hive::HasKey(absl::string_view key) {
  ASSIGN_OR_RETURN(const std::size_t node, Find(key));
  return node != 0;
}

absl::StatusOr<std::optional<RegistryValue>> Hive::Read(absl::string_view key,
                                                        absl::string_view name) {
  ASSIGN_OR_RETURN(const std::size_t node, Find(key));
  if (node == 0) return std::nullopt;
  const Malloced<hive_value_h> values(hivex_node_values(hive_, node));
  if (values == nullptr) return Broken(key);
  for (const hive_value_h* value = values.get(); *value != 0; ++value) {
    const Malloced<char> found(hivex_value_key(hive_, *value));
    if (found == nullptr || !dumpwarden::EqualsIgnoreCase(found.get(), name)) continue;
    ASSIGN_OR_RETURN(RegistryValue read, ValueAt(*value, key));
    return read;
  }
  return std::nullopt;
}

absl::StatusOr<std::vector<Hive::Value>> Hive::Values(absl::string_view key) {
  ASSIGN_OR_RETURN(const std::size_t node, Find(key));
  if (node == 0) return absl::NotFoundError(absl::StrCat(file_, ": no key ", key));
  const Malloced<hive_value_h> values(hivex_node_values(hive_, node));
  if (values == nullptr) return Broken(key);
  std::vector<Value> out;
  for (const hive_value_h* value = values.get(); *value != 0; ++value) {
    ASSIGN_OR_RETURN(std::string name, NameOf(*value, key));
    ASSIGN_OR_RETURN(RegistryValue read, ValueAt(*value, key));
    out.push_back({std::move(name), std::move(read)});
  }
  return out;
}

absl::StatusOr<std::vector<std::string>> Hive::SubKeys(absl::string_view key) {
  ASSIGN_OR_RETURN(const std::size_t node, Find(key));
  if (node == 0) return absl::NotFoundError(absl::StrCat(file_, ": no key ", key));
  const Malloced<hive_node_h> children(hivex_node_children(hive_, node));
  if (children == nullptr) return Broken(key);
  std::vector<std::string> names;
  for (const hive_node_h* child = children.get(); *child != 0; ++child) {
    const Malloced<char> name(hivex_node_name(hive_, *child));
    if (name == nullptr) return Broken(key);
    names.emplace_back(name.get());
  }
  return names;
}

absl::Status Hive::CheckCells(absl::string_view key) {
  ASSIGN_OR_RETURN(const std::size_t node, Find(key));
  const Malloced<hive_value_h> values(node == 0 ? nullptr : hivex_node_values(hive_, node));
  if (values == nullptr) return Broken(key);
  std::uint32_t list = 0;
  if (pread(memory_, &list, sizeof(list), static_cast<off_t>(node + kValueListAt)) !=
      sizeof(list)) {
    return Broken(key);
  }
  std::set<std::size_t> cells = {node, hivex_root(hive_)};
  bool once = *values == 0 || cells.insert(list + kBaseBlock).second;
  for (const hive_value_h* value = values.get(); *value != 0; ++value) {
    std::size_t size = 0;
    const std::size_t data = hivex_value_data_cell_offset(hive_, *value, &size);
    once = once && cells.insert(*value).second && (data == 0 || cells.insert(data).second);
  }
  if (once) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat(file_, ": the hive is damaged at key ", key,
                                          " (values share a cell); take a new copy of it"));
}

absl::StatusOr<std::string> Hive::Edited(const std::vector<HiveEdit>& edits) {
  return HiveWriter(*this).Write(edits);
}

// A child whose name cannot be read is none that we look for.
absl::StatusOr<std::size_t> Hive::Find(absl::string_view key) {
  const std::string lower = LowerAscii(key);
  if (const auto known = found_.find(lower); known != found_.end()) return known->second;
  std::size_t node = hivex_root(hive_);
  if (node == 0) return Broken("\\");
  for (const absl::string_view part : absl::StrSplit(key, '\\', absl::SkipEmpty())) {
    const Malloced<hive_node_h> children(hivex_node_children(hive_, node));
    if (children == nullptr) return Broken(key);
    node = 0;
    for (const hive_node_h* child = children.get(); *child != 0 && node == 0; ++child) {
      const Malloced<char> name(hivex_node_name(hive_, *child));
      if (name != nullptr && dumpwarden::EqualsIgnoreCase(name.get(), part)) node = *child;
    }
    if (node == 0) break;
  }
  found_[lower] = node;
  return node;
}

// libhivex follows the pieces of a big value without checking them: such values are refused first.
absl::StatusOr<RegistryValue> Hive::ValueAt(std::size_t value, absl::string_view key) {
  hive_type type = hive_t_REG_NONE;
  std::size_t size = 0;
  if (hivex_value_type(hive_, value, &type, &size) != 0) return Broken(key);
  std::size_t cell_size = 0;
  errno = 0;
  const std::size_t cell = hivex_value_data_cell_offset(hive_, value, &cell_size);
  if (cell == 0 && errno != 0) return Broken(key);
  std::int32_t length = 0;
  if (cell != 0 &&
      pread(memory_, &length, sizeof(length), static_cast<off_t>(cell)) != sizeof(length)) {
    return Broken(key);
  }
  if (cell != 0 && static_cast<std::int64_t>(size) > std::llabs(length) - 4) {
    return absl::UnimplementedError(absl::StrCat(file_, ": a value of ", size, " bytes at key ",
                                                 key, " is kept in pieces or damaged"));
  }
  const Malloced<char> data(hivex_value_value(hive_, value, &type, &size));
  if (data == nullptr) return Broken(key);
  // A hive may hold types that libhivex's enumeration has no word for, so it is never read as one.
  std::uint32_t number = 0;
  static_assert(sizeof(number) == sizeof(type));
  std::memcpy(&number, &type, sizeof(number));
  return RegistryValue{static_cast<RegType>(number), std::string(data.get(), size)};
}

// A name that does not come through as text whole could not be written back.
absl::StatusOr<std::string> Hive::NameOf(std::size_t value, absl::string_view key) {
  const Malloced<char> name(hivex_value_key(hive_, value));
  if (name == nullptr) return Broken(key);
  if (hivex_value_key_len(hive_, value) != std::strlen(name.get())) {  // both count UTF-8
    return absl::UnimplementedError(absl::StrCat(
        file_, ": a value at key ", key, " has a name that cannot be written back unchanged"));
  }
  return std::string(name.get());
}

}  // namespace dumpwarden
