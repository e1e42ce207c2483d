// SPDX-License-Identifier: Apache-2.0
#include "agent/registry/open.h"

#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "agent/registry/hive_registry.h"
#include "agent/registry/reg_file_registry.h"
#include "agent/registry/replace_file.h"
#include "core/base/status_macros.h"
#include "core/base/text.h"

namespace dumpwarden {
namespace {

constexpr absl::string_view kAccepted = "accepted: reg:FILE, hive:SYSTEM or hive:SYSTEM,SOFTWARE";

std::string BehindLink(const std::string& path) {
  std::error_code error;
  if (!std::filesystem::is_symlink(path, error)) return path;
  const std::filesystem::path real = std::filesystem::canonical(path, error);
  return error ? path : real.string();
}

ApplyPlace PlaceOf(const std::string& file) { return {PlaceOfFile(file), file}; }

absl::StatusOr<OpenedRegistry> OpenRegFile(absl::string_view file, Vfs& vfs) {
  OpenedRegistry opened;
  opened.files = {BehindLink(std::string(file))};
  ASSIGN_OR_RETURN(opened.registry, RegFileRegistry::Open(opened.files[0], vfs));
  opened.place = PlaceOf(opened.files[0]);
  return opened;
}

absl::StatusOr<OpenedRegistry> OpenHives(absl::string_view files, Vfs& vfs, bool force_dirty) {
  OpenedRegistry opened;
  for (const absl::string_view file : absl::StrSplit(files, ',')) {
    opened.files.push_back(BehindLink(std::string(file)));
  }
  if (opened.files.size() > 2 || opened.files.front().empty() || opened.files.back().empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--registry hive:", Printable(files), ": ", kAccepted));
  }
  const std::string software = opened.files.size() == 2 ? opened.files[1] : std::string();
  ASSIGN_OR_RETURN(opened.registry,
                   HiveRegistry::Open(opened.files[0], software, vfs, force_dirty));
  opened.place = PlaceOf(opened.files[0]);
  opened.is_hive = true;
  return opened;
}

}  // namespace

absl::StatusOr<OpenedRegistry> OpenRegistry(absl::string_view text, Vfs& vfs, bool force_dirty) {
  absl::string_view rest = text;
  if (absl::ConsumePrefix(&rest, "reg:") && !rest.empty()) return OpenRegFile(rest, vfs);
  rest = text;
  if (absl::ConsumePrefix(&rest, "hive:")) return OpenHives(rest, vfs, force_dirty);
  if (text == "win32") {
    return absl::UnimplementedError(
        absl::StrCat("--registry win32 needs Windows; on this system ", kAccepted));
  }
  return absl::InvalidArgumentError(
      absl::StrCat("--registry ", Quote(text), " is not understood; ", kAccepted));
}

}  // namespace dumpwarden
