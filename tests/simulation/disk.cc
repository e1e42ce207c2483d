// SPDX-License-Identifier: Apache-2.0
#include "tests/simulation/disk.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/simulation/disk_vfs.h"

namespace dumpwarden::sim {
namespace {

constexpr std::size_t kSector = 512;

std::map<std::string, Disk*>& Disks() {  // by folder
  static std::map<std::string, Disk*> disks;
  return disks;
}

}  // namespace

Disk* DiskOf(const std::string& path) {
  const auto found = Disks().find(path.substr(0, path.rfind('/')));
  return found == Disks().end() ? nullptr : found->second;
}

void DiskFile::Put(std::size_t offset, std::string data) {
  Write write{offset, "", bytes.size(), "", false};
  if (offset < bytes.size()) write.before = bytes.substr(offset, data.size());
  if (bytes.size() < offset) bytes.resize(offset);
  bytes.replace(offset, write.before.size(), data);
  write.after = std::move(data);
  unsynced.push_back(std::move(write));
}

void DiskFile::Truncate(std::size_t size) {
  if (size >= bytes.size()) return;
  unsynced.push_back({size, bytes.substr(size), bytes.size(), "", true});
  bytes.resize(size);
}

Disk::Disk(std::string folder, World& world, MachineFaults& faults)
    : folder_(std::move(folder)), world_(world), faults_(faults) {
  Disks()[folder_] = this;
}

Disk::~Disk() { Disks().erase(folder_); }

std::shared_ptr<DiskFile> Disk::Find(const std::string& path) const {
  const auto found = names_.find(path);
  return found == names_.end() ? nullptr : found->second;
}

std::shared_ptr<DiskFile> Disk::Make(const std::string& path) {
  names_synced_ = false;
  return names_[path] = std::make_shared<DiskFile>();
}

void Disk::SyncNames() {
  if (!names_synced_) durable_names_ = names_;
  names_synced_ = true;
}

// Each write reached the disk, or did not, or some of its sectors did.
void Disk::LoseUnsynced(DiskFile& file, Unsynced unsynced) {
  std::vector<DiskFile::Write> writes = std::move(file.unsynced);
  file.unsynced.clear();
  for (auto write = writes.rbegin(); write != writes.rend(); ++write) {
    if (file.bytes.size() < write->offset + write->before.size()) {
      file.bytes.resize(write->offset + write->before.size());
    }
    file.bytes.replace(write->offset, write->before.size(), write->before);
    file.bytes.resize(write->size_before);
  }
  for (const DiskFile::Write& write : writes) {
    const int fate = unsynced == Unsynced::kNone ? 2 : world_.chance.Below(4);  // 0, 1: it is there
    if (fate == 2) world_.counts.Add(Fault::kLostWrite);
    if (fate == 2) continue;
    if (write.truncate) {
      file.bytes.resize(std::min(file.bytes.size(), write.offset));
      continue;
    }
    if (file.bytes.size() < write.offset + write.after.size()) {
      file.bytes.resize(write.offset + write.after.size());
    }
    const bool torn = fate == 3 && write.after.size() > kSector;
    if (torn) world_.counts.Add(Fault::kTornWrite);
    for (std::size_t at = 0; at < write.after.size(); at += kSector) {
      if (torn && world_.chance.Happens(0.5)) continue;
      const std::size_t size = std::min(kSector, write.after.size() - at);
      file.bytes.replace(write.offset + at, size, write.after, at, size);
    }
  }
}

void Disk::PowerCut(Unsynced unsynced) {
  Files after = durable_names_;
  const double kept = unsynced == Unsynced::kNone ? 0 : 0.5;
  for (const auto& [path, file] : names_) {
    const auto durable = durable_names_.find(path);
    if (durable != durable_names_.end() && durable->second == file) continue;
    if (world_.chance.Happens(kept)) {
      after[path] = file;
    } else {
      world_.counts.Add(Fault::kLostName);
    }
  }
  for (const auto& [path, file] : durable_names_) {  // removed
    if (!names_.contains(path) && world_.chance.Happens(kept)) after.erase(path);
  }
  names_ = std::move(after);
  names_synced_ = true;
  for (const auto& [path, file] : names_) LoseUnsynced(*file, unsynced);
  durable_names_ = names_;
}

Disk::Image Disk::Save() const {
  Image image;
  for (const auto& [path, file] : names_) image[path.substr(path.rfind('/'))] = file->bytes;
  return image;
}

void Disk::Load(const Image& image) {
  names_.clear();
  for (const auto& [name, bytes] : image) Make(absl::StrCat(folder_, name))->bytes = bytes;
  durable_names_ = names_;
  names_synced_ = true;
}

}  // namespace dumpwarden::sim
