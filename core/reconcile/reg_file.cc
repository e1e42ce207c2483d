// SPDX-License-Identifier: Apache-2.0
#include "core/reconcile/reg_file.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/base/status_macros.h"
#include "core/base/text.h"

namespace dumpwarden {
namespace {

using Kind = RegTextLine::Kind;

constexpr absl::string_view kUtf16Bom("\xff\xfe", 2);
constexpr absl::string_view kUtf8Bom = "\xef\xbb\xbf";

absl::Status AtStart(absl::string_view file, absl::string_view what) {
  Problems problems(file);
  problems.Add(Mark{}, "", what);
  return problems.ToStatus();
}

bool IsBlank(const RegTextLine& line) {
  return line.kind == Kind::kOther && line.raw.find_first_not_of(" \t\r\n") == std::string::npos;
}

bool IsOfKey(const RegTextLine& line, absl::string_view key) {
  return line.kind != Kind::kOther && dumpwarden::EqualsIgnoreCase(line.parsed.key, key);
}

bool IsOfCell(const RegTextLine& line, absl::string_view key, absl::string_view name) {
  return line.kind == Kind::kValue && IsOfKey(line, key) &&
         dumpwarden::EqualsIgnoreCase(line.parsed.name, name);
}

bool EndsLine(const std::string& raw) { return !raw.empty() && raw.back() == '\n'; }

void DropLineEnd(std::string& raw) {
  if (EndsLine(raw)) raw.pop_back();
  if (!raw.empty() && raw.back() == '\r') raw.pop_back();
}

}  // namespace

absl::StatusOr<RegFile> RegFile::Parse(absl::string_view bytes, absl::string_view file) {
  if (bytes.size() > kMaxRegFileBytes) {
    return AtStart(file, absl::StrCat("larger than ", kMaxRegFileBytes, " bytes"));
  }
  RegFile out;
  out.utf16_ = absl::ConsumePrefix(&bytes, kUtf16Bom);
  out.bom_ = out.utf16_ || absl::ConsumePrefix(&bytes, kUtf8Bom);
  // Recoding back and forth is also the check that the text is well-formed.
  const absl::StatusOr<std::string> recoded =
      out.utf16_ ? Utf16LeToUtf8(bytes) : Utf8ToUtf16Le(bytes);
  if (!recoded.ok()) {
    return AtStart(file, absl::StrCat(recoded.status().message(),
                                      "; accepted: UTF-16LE with a byte order mark, or UTF-8"));
  }
  ASSIGN_OR_RETURN(RegText text, ParseRegText(out.utf16_ ? *recoded : bytes, file));
  out.dialect_ = text.dialect;
  out.lines_ = std::move(text.lines);
  const std::string& first = out.lines_.front().raw;
  if (EndsLine(first)) out.line_end_ = absl::EndsWith(first, "\r\n") ? "\r\n" : "\n";
  return out;
}

RegFile RegFile::New() {
  RegFile out;
  for (const absl::string_view text : {RegHeader(), absl::string_view()}) {
    RegTextLine line;
    line.raw = absl::StrCat(text, out.line_end_);
    out.lines_.push_back(std::move(line));
  }
  return out;
}

std::string RegFile::Serialize() const {
  std::string text;
  for (const RegTextLine& line : lines_) text += line.raw;
  if (!utf16_) return absl::StrCat(bom_ ? kUtf8Bom : "", text);
  // Every raw line came from checked text or from AsText.
  return absl::StrCat(kUtf16Bom, Utf8ToUtf16Le(text).value());
}

std::vector<RegLine> RegFile::Lines() const {
  std::vector<RegLine> values;
  for (const RegTextLine& line : lines_) {
    if (line.kind == Kind::kValue) values.push_back(line.parsed);
  }
  return values;
}

std::vector<std::string> RegFile::DeletedKeys() const {
  std::vector<std::string> keys;
  for (const RegTextLine& line : lines_) {
    if (line.kind == Kind::kDeletedKey) keys.push_back(line.parsed.key);
  }
  return keys;
}

std::vector<std::string> RegFile::Keys() const {
  std::vector<std::string> keys;
  for (const auto& [lower, key] : Merge()) keys.push_back(key.path);
  return keys;
}

bool RegFile::HasKey(absl::string_view key) const {
  const std::string lower = LowerAscii(key);
  return Merge().count(lower) != 0 || HasSubKey(lower);
}

std::optional<RegistryValue> RegFile::Read(absl::string_view key, absl::string_view name) const {
  const auto found = Merge().find(LowerAscii(key));
  if (found == Merge().end()) return std::nullopt;
  const auto value = found->second.values.find(LowerAscii(name));
  if (value == found->second.values.end()) return std::nullopt;
  return value->second;
}

void RegFile::Write(absl::string_view key, absl::string_view name, const RegistryValue& value) {
  if (Read(key, name) == value) return;
  Edit(key, name, value);
}

void RegFile::WriteDeletion(absl::string_view key, absl::string_view name) {
  Edit(key, name, std::nullopt);
}

void RegFile::Delete(absl::string_view key, absl::string_view name) {
  const bool ended = EndsLine(lines_.back().raw);
  const auto gone = std::remove_if(lines_.begin(), lines_.end(), [&](const RegTextLine& line) {
    return IsOfCell(line, key, name);
  });
  if (gone == lines_.end()) return;
  lines_.erase(gone, lines_.end());
  if (!ended) DropLineEnd(lines_.back().raw);
  merged_.reset();
  MakeVersion5();
}

void RegFile::AddComment(absl::string_view text) {
  RegTextLine comment;
  comment.raw = absl::StrCat("; ", text, line_end_);
  const auto first = std::find_if(lines_.begin(), lines_.end(), [](const RegTextLine& line) {
    return line.kind != Kind::kOther;
  });
  lines_.insert(first, std::move(comment));
}

// Lines of a key that is empty after the merge cancel each other out; left
// behind they would fall to the key above.
void RegFile::DeleteKeyIfEmpty(absl::string_view key) {
  const std::string lower = LowerAscii(key);
  const auto found = Merge().find(lower);
  if (found == Merge().end() || !found->second.values.empty() || HasSubKey(lower)) return;
  const bool ended = EndsLine(lines_.back().raw);
  for (std::size_t i = lines_.size(); i-- > 0;) {
    const bool header = lines_[i].kind == Kind::kKey;
    if (lines_[i].kind == Kind::kDeletedKey || !IsOfKey(lines_[i], key)) continue;
    lines_.erase(lines_.begin() + static_cast<std::ptrdiff_t>(i));
    if (header) EraseEmptyLine(i);
  }
  if (!ended) DropLineEnd(lines_.back().raw);
  merged_.reset();
}

// The one that AppendSection made for a section that stood before lines_[at].
void RegFile::EraseEmptyLine(std::size_t at) {
  const bool last = at == lines_.size();
  const std::size_t empty = last ? at - 1 : at;
  const bool apart = last || IsBlank(lines_[at - 1]);
  if (empty > 0 && apart && lines_[empty].kind == Kind::kOther && lines_[empty].raw == line_end_) {
    lines_.erase(lines_.begin() + static_cast<std::ptrdiff_t>(empty));
  }
}

const RegFile::Merged& RegFile::Merge() const {
  if (merged_) return *merged_;
  merged_.emplace();
  for (const RegTextLine& line : lines_) {
    if (line.kind == Kind::kOther) continue;
    const std::string lower = LowerAscii(line.parsed.key);
    if (line.kind == Kind::kDeletedKey) {
      merged_->erase(lower);
      // ']' follows '\\', so this is the range of the keys below.
      merged_->erase(merged_->lower_bound(lower + "\\"), merged_->lower_bound(lower + "]"));
      continue;
    }
    Key& key = merged_->try_emplace(lower, Key{line.parsed.key, {}}).first->second;
    if (line.kind == Kind::kKey) continue;
    if (line.parsed.value) {
      key.values[LowerAscii(line.parsed.name)] = *line.parsed.value;
    } else {
      key.values.erase(LowerAscii(line.parsed.name));
    }
  }
  return *merged_;
}

bool RegFile::HasSubKey(const std::string& lower) const {
  const auto next = Merge().lower_bound(lower + "\\");
  return next != Merge().end() && absl::StartsWith(next->first, lower + "\\");
}

void RegFile::Edit(absl::string_view key, absl::string_view name,
                   const std::optional<RegistryValue>& value) {
  MakeVersion5();
  bool found = false;
  for (RegTextLine& line : lines_) {
    if (!IsOfCell(line, key, name)) continue;
    const bool ended = EndsLine(line.raw);
    RegTextLine edited = ValueLine(line.parsed.key, line.parsed.name, value);
    if (!ended) DropLineEnd(edited.raw);
    line = std::move(edited);
    found = true;
  }
  merged_.reset();
  // A [-KEY] further down may undo every line there is.
  if (!found || Read(key, name) != value) Insert(key, ValueLine(key, name, value));
}

// After the last value of the key's last section, or in a new section when
// there is none that counts.
void RegFile::Insert(absl::string_view key, const RegTextLine& line) {
  std::size_t after = 0;
  for (std::size_t i = 0; i < lines_.size(); ++i) {
    if (lines_[i].kind == Kind::kDeletedKey) {
      const std::string deleted = LowerAscii(lines_[i].parsed.key);
      const std::string lower = LowerAscii(key);
      if (lower == deleted || absl::StartsWith(lower, deleted + "\\")) after = 0;
    } else if (IsOfKey(lines_[i], key)) {
      after = i;
    }
  }
  if (after == 0) after = AppendSection(key);
  const bool last = after + 1 == lines_.size();
  RegTextLine inserted = line;
  if (last && !EndsLine(lines_[after].raw)) {  // a file whose last line has no end stays one
    lines_[after].raw += line_end_;
    DropLineEnd(inserted.raw);
  }
  lines_.insert(lines_.begin() + static_cast<std::ptrdiff_t>(after) + 1, std::move(inserted));
  merged_.reset();
}

// Where the new section's [key] is.  An empty line sets it apart.  A file that ends in one, as
// regedit's exports do, ends in one again: that tells DeleteKeyIfEmpty how it was.
std::size_t RegFile::AppendSection(absl::string_view key) {
  RegTextLine empty;
  empty.raw = line_end_;
  const bool ended = EndsLine(lines_.back().raw);
  const bool apart = IsBlank(lines_.back());
  if (!ended) lines_.back().raw += line_end_;
  if (!apart) lines_.push_back(empty);
  RegTextLine section;
  section.kind = Kind::kKey;
  section.parsed.key = std::string(key);
  section.raw = absl::StrCat(RenderRegKey(key), ended ? line_end_ : "");
  lines_.push_back(std::move(section));
  const std::size_t at = lines_.size() - 1;
  if (ended && apart) lines_.push_back(std::move(empty));
  return at;
}

void RegFile::MakeVersion5() {
  if (dialect_ == RegDialect::kVersion5) return;
  dialect_ = RegDialect::kVersion5;
  lines_.front().raw = absl::StrCat(RegHeader(), line_end_);
  for (RegTextLine& line : lines_) {
    if (line.kind != Kind::kValue || !line.parsed.value) continue;
    const bool ended = EndsLine(line.raw);
    line = ValueLine(line.parsed.key, line.parsed.name, line.parsed.value);
    if (!ended) DropLineEnd(line.raw);
  }
}

RegTextLine RegFile::ValueLine(absl::string_view key, absl::string_view name,
                               const std::optional<RegistryValue>& value) const {
  RegTextLine line;
  line.kind = Kind::kValue;
  line.parsed.key = std::string(key);
  line.parsed.name = std::string(name);
  line.parsed.value = value;
  line.raw = absl::StrCat(RenderRegValue(name, value, line_end_), line_end_);
  return line;
}

}  // namespace dumpwarden
