// SPDX-License-Identifier: Apache-2.0
#include "core/reconcile/reg_line.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "core/base/status_macros.h"
#include "core/base/text.h"

namespace dumpwarden {
namespace {

constexpr absl::string_view kVersion5Header = "Windows Registry Editor Version 5.00";
constexpr absl::string_view kRegedit4Header = "REGEDIT4";
constexpr absl::string_view kMachine = "HKEY_LOCAL_MACHINE";
constexpr std::array<absl::string_view, 5> kOtherRoots = {"HKEY_CLASSES_ROOT", "HKEY_CURRENT_USER",
                                                          "HKEY_USERS", "HKEY_CURRENT_CONFIG",
                                                          "HKEY_PERFORMANCE_DATA"};

bool IsText(RegType type) {
  return type == RegType::kSz || type == RegType::kExpandSz || type == RegType::kMultiSz;
}

// One pass over the text.  `at_` only moves forward, so the work is linear.
class Parser {
 public:
  Parser(absl::string_view text, absl::string_view file) : text_(text), problems_(file) {}

  absl::StatusOr<RegText> Parse() {
    if (!Header()) return problems_.ToStatus();
    while (at_ < text_.size()) {
      if (!Line()) return problems_.ToStatus();
    }
    return std::move(out_);
  }

 private:
  bool Header() {
    const std::size_t start = at_;
    const absl::string_view word = absl::StripTrailingAsciiWhitespace(RestOfLine());
    if (word == kRegedit4Header) {
      out_.dialect = RegDialect::kRegedit4;
    } else if (word != kVersion5Header) {
      return Fail(absl::StrCat("the first line is ", Quote(word.substr(0, 60)), "; accepted: \"",
                               kVersion5Header, "\" or \"", kRegedit4Header, "\""));
    }
    if (out_.dialect == RegDialect::kRegedit4 && !IsAscii()) {
      return Fail(
          absl::StrCat("a REGEDIT4 file with characters beyond ASCII depends on the code "
                       "page of its machine; export it again as \"",
                       kVersion5Header, "\""));
    }
    at_ += RestOfLine().size();
    return EndLine(start, RegTextLine{});
  }

  bool Line() {
    const std::size_t start = at_;
    SkipBlanks();
    switch (Peek()) {
      case '[':
        return KeyLine(start);
      case '"':
      case '@':
        return ValueLine(start);
      case ';':
        at_ += RestOfLine().size();
        return EndLine(start, RegTextLine{});
      default:
        return EndLine(start, RegTextLine{});
    }
  }

  bool KeyLine(std::size_t start) {
    const absl::string_view rest = StripBlanks(RestOfLine());
    const std::size_t close = rest.rfind(']');
    if (close == absl::string_view::npos) return Fail("a key line has no \"]\"");
    if (rest.back() != ']' || HasComment(rest)) {
      return Fail("a key line is [key] and nothing behind; a comment has a line of its own");
    }
    RegTextLine line;
    absl::string_view path = rest.substr(1, close - 1);
    const bool deletes = absl::ConsumePrefix(&path, "-");
    line.kind = deletes ? RegTextLine::Kind::kDeletedKey : RegTextLine::Kind::kKey;
    if (!Key(path, line.parsed.key)) return false;
    line.parsed.mark = MarkAt(start);
    key_ = deletes ? std::string() : line.parsed.key;
    at_ += rest.size();
    SkipBlanks();
    return EndLine(start, std::move(line));
  }

  static absl::string_view StripBlanks(absl::string_view text) {
    return text.substr(0, text.find_last_not_of(" \t") + 1);
  }

  // [key] ; see [1]: regedit would take all of it for a key, up to the last bracket.
  static bool HasComment(absl::string_view line) {
    for (std::size_t at = line.find(']'); at != absl::string_view::npos;
         at = line.find(']', at + 1)) {
      const std::size_t next = line.find_first_not_of(" \t", at + 1);
      if (next != absl::string_view::npos && next > at + 1 && line[next] == ';') return true;
    }
    return false;
  }

  bool Key(absl::string_view path, std::string& key) {
    const std::size_t slash = std::min(path.find('\\'), path.size());
    const absl::string_view root = path.substr(0, slash);
    if (dumpwarden::EqualsIgnoreCase(root, kMachine)) {
      key = absl::StrCat("HKLM", path.substr(slash));
    } else if (std::any_of(kOtherRoots.begin(), kOtherRoots.end(), [root](absl::string_view other) {
                 return dumpwarden::EqualsIgnoreCase(root, other);
               })) {
      key = std::string(path);
    } else {
      return Fail(absl::StrCat("unknown root ", Quote(root), " of a key; accepted: ", kMachine,
                               " and the other HKEY_ names, spelled out"));
    }
    if (absl::StrContains(path, "\\\\") || absl::EndsWith(path, "\\")) {
      return Fail("a key has an empty component");
    }
    if (std::count(path.begin(), path.end(), '\\') > kMaxKeyDepth) {
      return Fail(absl::StrCat("a key is nested deeper than ", kMaxKeyDepth));
    }
    return true;
  }

  bool ValueLine(std::size_t start) {
    if (key_.empty()) return Fail("a value stands before any [key], or below a deleted one");
    RegTextLine line;
    line.kind = RegTextLine::Kind::kValue;
    line.parsed.key = key_;
    line.parsed.mark = MarkHere();
    if (Peek() == '@') {
      ++at_;
    } else if (!Quoted(line.parsed.name)) {
      return false;
    } else if (line.parsed.name.empty()) {
      return Fail("an empty name; the default value is written @");
    }
    SkipBlanks();
    if (!Consume('=')) return Fail("expected \"=\" after the name of a value");
    SkipBlanks();
    return Data(line.parsed.value) && Trailer() && EndLine(start, std::move(line));
  }

  bool Data(std::optional<RegistryValue>& value) {
    if (Consume('-')) return true;
    if (Peek() == '"') {
      std::string text;
      if (!Quoted(text)) return false;
      value = SzValue(text);
      return Fits(value->data.size());
    }
    const absl::string_view rest = text_.substr(at_);
    if (absl::StartsWithIgnoreCase(rest, "dword:")) return Dword(value);
    if (absl::StartsWithIgnoreCase(rest, "hex")) return Hex(value);
    return Fail("unknown data of a value; accepted: \"text\", dword:, hex:, hex(n):, -");
  }

  // \\ and \" are escapes; line ends inside the quotes belong to the text, as regedit exports them.
  bool Quoted(std::string& out) {
    ++at_;
    while (at_ < text_.size() && text_[at_] != '"') {
      if (text_[at_] == '\0') return Fail("a NUL character in a text");
      if (text_[at_] == '\\') {
        ++at_;
        if (Peek() != '\\' && Peek() != '"') return Fail("unknown escape; accepted: \\\\ and \\\"");
      }
      if (out.size() > kMaxRegValueBytes) return Fits(out.size());
      if (text_[at_] == '\n') NewLine(at_ + 1);
      out += text_[at_++];
    }
    return Consume('"') || Fail("a text has no closing quote");
  }

  bool Dword(std::optional<RegistryValue>& value) {
    at_ += 6;
    std::uint32_t number = 0;
    int digits = 0;
    for (; absl::ascii_isxdigit(static_cast<unsigned char>(Peek())); ++at_, ++digits) {
      if (digits == 8) return Fail("dword: has more than 8 hex digits");
      number = number * 16 + Digit(Peek());
    }
    if (digits == 0) return Fail("dword: needs 1 to 8 hex digits");
    value = DwordValue(number);
    return true;
  }

  bool Hex(std::optional<RegistryValue>& value) {
    at_ += 3;
    std::uint32_t type = static_cast<std::uint32_t>(RegType::kBinary);
    if (Consume('(') && !HexType(type)) return false;
    if (!Consume(':')) return Fail("expected \":\" after hex");
    value.emplace();
    value->type = static_cast<RegType>(type);
    if (!HexBytes(value->data)) return false;
    if (out_.dialect == RegDialect::kRegedit4 && IsText(value->type)) return Widen(value->data);
    return true;
  }

  bool HexType(std::uint32_t& type) {
    type = 0;
    int digits = 0;
    for (; absl::ascii_isxdigit(static_cast<unsigned char>(Peek())) && digits < 8;
         ++at_, ++digits) {
      type = type * 16 + Digit(Peek());
    }
    return (digits > 0 && Consume(')')) || Fail("hex(n): needs a type of 1 to 8 hex digits");
  }

  bool HexBytes(std::string& out) {
    if (!Continue()) return false;
    if (!absl::ascii_isxdigit(static_cast<unsigned char>(Peek()))) return true;  // no bytes at all
    while (true) {
      std::uint32_t byte = 0;
      int digits = 0;
      for (; absl::ascii_isxdigit(static_cast<unsigned char>(Peek())) && digits < 2;
           ++at_, ++digits) {
        byte = byte * 16 + Digit(Peek());
      }
      if (digits == 0) return Fail("expected a byte of one or two hex digits");
      out += static_cast<char>(byte);
      if (!Fits(out.size())) return false;
      SkipBlanks();
      if (!Consume(',')) return true;
      if (!Continue()) return false;
    }
  }

  // Blanks, and a backslash that carries the value over to the next line.
  bool Continue() {
    SkipBlanks();
    while (Consume('\\')) {
      SkipBlanks();
      if (!LineEnd()) return Fail("expected the end of the line after a continuation \"\\\"");
      SkipBlanks();
    }
    return true;
  }

  bool Widen(std::string& data) {
    std::string wide;
    for (const char c : data) {
      if (static_cast<unsigned char>(c) >= 0x80) {
        return Fail(
            absl::StrCat("a text in a REGEDIT4 file has a character beyond ASCII, which "
                         "depends on the code page of its machine; export it again as \"",
                         kVersion5Header, "\""));
      }
      wide += c;
      wide += '\0';
    }
    data = std::move(wide);
    return true;
  }

  bool Fits(std::size_t bytes) {
    return bytes <= kMaxRegValueBytes ||
           Fail(absl::StrCat("a value is larger than ", kMaxRegValueBytes, " bytes"));
  }

  bool Trailer() {  // a comment may follow
    SkipBlanks();
    if (Peek() == ';') at_ += RestOfLine().size();
    return true;
  }

  bool EndLine(std::size_t start, RegTextLine line) {
    if (at_ < text_.size() && !LineEnd()) {
      return Fail(absl::StrCat("unexpected ", Quote(RestOfLine().substr(0, 20)),
                               "; a line is a [key], a \"name\"=value, a ;comment or empty"));
    }
    line.raw = std::string(text_.substr(start, at_ - start));
    out_.lines.push_back(std::move(line));
    return true;
  }

  bool LineEnd() {
    const std::size_t length = absl::StartsWith(text_.substr(at_), "\r\n") ? 2 : 1;
    if (length == 1 && Peek() != '\n') return false;
    at_ += length;
    NewLine(at_);
    return true;
  }

  void NewLine(std::size_t start) {
    ++line_;
    line_start_ = start;
  }

  absl::string_view RestOfLine() const {
    absl::string_view rest = text_.substr(at_);
    rest = rest.substr(0, rest.find('\n'));
    absl::ConsumeSuffix(&rest, "\r");
    return rest;
  }

  static std::uint32_t Digit(char c) {
    if (c <= '9') return static_cast<std::uint32_t>(c - '0');
    return static_cast<std::uint32_t>(absl::ascii_tolower(static_cast<unsigned char>(c)) - 'a' +
                                      10);
  }
  char Peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  bool Consume(char c) {
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void SkipBlanks() {
    while (Peek() == ' ' || Peek() == '\t') ++at_;
  }
  bool IsAscii() const {
    return std::all_of(text_.begin(), text_.end(),
                       [](char c) { return static_cast<unsigned char>(c) < 0x80; });
  }
  Mark MarkAt(std::size_t offset) const {
    return {line_, static_cast<int>(offset - line_start_) + 1};
  }
  Mark MarkHere() const { return MarkAt(at_); }
  bool Fail(absl::string_view what) {
    problems_.Add(MarkHere(), "", what);
    return false;
  }

  absl::string_view text_;
  Problems problems_;
  RegText out_;
  std::string key_;  // of the section; empty before the first and below a deleted one
  std::size_t at_ = 0;
  std::size_t line_start_ = 0;
  int line_ = 1;
};

std::string Escape(absl::string_view text) {
  return absl::StrCat("\"", absl::StrReplaceAll(text, {{"\\", "\\\\"}, {"\"", "\\\""}}), "\"");
}

// The text between the quotes, when quotes can hold exactly these bytes.
std::optional<std::string> AsQuotable(const RegistryValue& value) {
  if (value.type != RegType::kSz) return std::nullopt;
  const std::optional<std::string> text = AsText(value);
  if (!text || SzValue(*text) != value) return std::nullopt;
  if (std::any_of(text->begin(), text->end(), [](char c) { return c == '\r' || c == '\n'; })) {
    return std::nullopt;
  }
  return text;
}

std::string RenderHex(std::size_t column, const RegistryValue& value, absl::string_view line_end) {
  std::string out = value.type == RegType::kBinary
                        ? "hex:"
                        : absl::StrFormat("hex(%x):", static_cast<std::uint32_t>(value.type));
  column += out.size();
  for (std::size_t i = 0; i < value.data.size(); ++i) {
    const bool last = i + 1 == value.data.size();
    absl::StrAppendFormat(&out, "%02x%s", static_cast<unsigned char>(value.data[i]),
                          last ? "" : ",");
    column += 3;
    if (column > 76 && !last) {
      absl::StrAppend(&out, "\\", line_end, "  ");
      column = 2;
    }
  }
  return out;
}

}  // namespace

absl::StatusOr<RegText> ParseRegText(absl::string_view utf8, absl::string_view file) {
  return Parser(utf8, file).Parse();
}

absl::string_view RegHeader() { return kVersion5Header; }

std::string RenderRegKey(absl::string_view key) {
  if (dumpwarden::EqualsIgnoreCase(key.substr(0, 4), "HKLM") &&
      (key.size() == 4 || key[4] == '\\')) {
    return absl::StrCat("[", kMachine, key.substr(4), "]");
  }
  return absl::StrCat("[", key, "]");
}

std::string RenderRegValue(absl::string_view name, const std::optional<RegistryValue>& value,
                           absl::string_view line_end) {
  const std::string left = absl::StrCat(name.empty() ? "@" : Escape(name), "=");
  if (!value) return left + "-";
  if (const std::optional<std::string> text = AsQuotable(*value)) return left + Escape(*text);
  const std::optional<std::uint32_t> number = AsDword(*value);
  if (number && DwordValue(*number) == *value) {
    return absl::StrCat(left, absl::StrFormat("dword:%08x", *number));
  }
  return left + RenderHex(left.size(), *value, line_end);
}

}  // namespace dumpwarden
