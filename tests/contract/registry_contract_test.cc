// SPDX-License-Identifier: Apache-2.0
#include "tests/contract/registry_contract.h"

#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "agent/registry/hive_registry.h"
#include "agent/registry/reg_file_registry.h"
#include "core/reconcile/reg_file.h"
#include "platform/system.h"
#include "tests/support/fake_registry.h"
#include "tests/support/temp_folder.h"

namespace dumpwarden {
namespace {

// The fake is its own disk: what is opened is a view of it.
class FakeUnderTest {
 public:
  FakeUnderTest() { disk_->AddKey(kContractKey); }
  std::unique_ptr<Registry> Open() {
    disk_->PowerCut();
    return std::make_unique<View>(disk_);
  }
  void Elsewhere(const std::string& key, const std::string& name, const RegistryValue& value) {
    disk_->SetElsewhere(key, name, value);
  }
  std::string Bytes() const { return std::to_string(disk_->log().size() - Sets()); }

 private:
  class View : public Registry {
   public:
    explicit View(std::shared_ptr<FakeRegistry> disk) : disk_(std::move(disk)) {}
    absl::StatusOr<std::optional<RegistryValue>> Read(absl::string_view key,
                                                      absl::string_view name) override {
      return disk_->Read(key, name);
    }
    absl::StatusOr<bool> HasKey(absl::string_view key) override { return disk_->HasKey(key); }
    absl::Status Write(absl::string_view key, absl::string_view name,
                       const RegistryValue& value) override {
      return disk_->Write(key, name, value);
    }
    absl::Status Delete(absl::string_view key, absl::string_view name) override {
      return disk_->Delete(key, name);
    }
    absl::Status DeleteKeyIfEmpty(absl::string_view key) override {
      return disk_->DeleteKeyIfEmpty(key);
    }
    absl::Status CheckWritable(absl::string_view key) override { return disk_->CheckWritable(key); }
    absl::Status Flush() override { return disk_->Flush(); }
    absl::Status Reload() override { return disk_->Reload(); }
    std::optional<absl::Time> LastWrite(absl::string_view key) override {
      return disk_->LastWrite(key);
    }
    std::vector<std::string> Warnings() override { return disk_->Warnings(); }

   private:
    std::shared_ptr<FakeRegistry> disk_;
  };
  // Calls are logged even when they change nothing; a flush that touches something is not.
  std::size_t Sets() const {
    std::size_t calls = 0;
    for (const std::string& line : disk_->log()) calls += line != "flush";
    return calls;
  }
  std::shared_ptr<FakeRegistry> disk_ = std::make_shared<FakeRegistry>();
};

std::string BytesAndTime(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  struct stat info {};
  stat(path.c_str(), &info);
  return absl::StrCat(info.st_ino, " ", info.st_mtim.tv_sec, ".", info.st_mtim.tv_nsec, "\n",
                      std::string(std::istreambuf_iterator<char>(in), {}));
}

void WriteWith(const std::unique_ptr<Registry>& registry, const std::string& key,
               const std::string& name, const RegistryValue& value) {
  EXPECT_THAT(registry->Write(key, name, value), IsOk());
  EXPECT_THAT(registry->Flush(), IsOk());
}

class RegFileUnderTest {
 public:
  RegFileUnderTest() {
    RegFile file = RegFile::New();
    file.Write(kContractKey, "AutoReboot", DwordValue(1));
    EXPECT_THAT(vfs_->Write(path_, file.Serialize()), IsOk());
  }
  std::unique_ptr<Registry> Open() { return RegFileRegistry::Open(path_, *vfs_).value(); }
  void Elsewhere(const std::string& key, const std::string& name, const RegistryValue& value) {
    WriteWith(Open(), key, name, value);
  }
  std::string Bytes() const { return BytesAndTime(path_); }

 private:
  TempFolder folder_;
  std::string path_ = folder_.File("host.reg");
  std::unique_ptr<Vfs> vfs_ = MakeSystemVfs();
};

class HiveUnderTest {
 public:
  HiveUnderTest() {
    std::filesystem::copy_file(DUMPWARDEN_SOURCE_DIR "/tests/golden/hives/minimal.hive", path_);
  }
  std::unique_ptr<Registry> Open() { return HiveRegistry::Open(path_, "", *vfs_, false).value(); }
  void Elsewhere(const std::string& key, const std::string& name, const RegistryValue& value) {
    WriteWith(Open(), key, name, value);
  }
  std::string Bytes() const { return BytesAndTime(path_); }

 private:
  TempFolder folder_;
  std::string path_ = folder_.File("SYSTEM");
  std::unique_ptr<Vfs> vfs_ = MakeSystemVfs();
};

INSTANTIATE_TYPED_TEST_SUITE_P(Fake, RegistryContract, FakeUnderTest);
INSTANTIATE_TYPED_TEST_SUITE_P(RegFile, RegistryContract, RegFileUnderTest);
INSTANTIATE_TYPED_TEST_SUITE_P(Hive, RegistryContract, HiveUnderTest);

}  // namespace
}  // namespace dumpwarden
