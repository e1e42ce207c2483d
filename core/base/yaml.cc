// SPDX-License-Identifier: Apache-2.0
// The tree is built from yaml-cpp's events, so that nothing is ever built of
// what is refused.  What yaml-cpp throws, and what is thrown through it to stop
// it, is caught in Parse.
#include "core/base/yaml.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <sstream>
#include <unordered_map>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/base/text.h"

namespace dumpwarden::yaml {
namespace {

struct Refused {  // thrown by TreeBuilder to stop yaml-cpp
  YAML::Mark mark;
  std::string why;
};

constexpr absl::string_view kNoAliases = "aliases (*name) are not accepted; write the value out";
constexpr absl::string_view kNoAnchors = "anchors (&name) are not accepted; write the value out";
constexpr absl::string_view kNoTags = "tags (!name) are not accepted; write the plain value";
constexpr absl::string_view kOpenQuote = "a quote is opened here and not closed";

// What yaml-cpp says, in words for the author of a file.
struct Wording {
  absl::string_view theirs;  // how it starts
  absl::string_view ours;
};
const Wording kWordings[] = {
    {YAML::ErrorMsg::END_OF_MAP_FLOW, "a { is not closed; a } or a comma is missing before here"},
    {YAML::ErrorMsg::END_OF_MAP, "a key of this map is expected here; check the indentation"},
    {YAML::ErrorMsg::END_OF_SEQ_FLOW, "a [ is not closed; a ] or a comma is missing before here"},
    {YAML::ErrorMsg::END_OF_SEQ,
     "an item of this list (- ...) is expected here; check the indentation"},
    {YAML::ErrorMsg::TAB_IN_INDENTATION, "a tab in the indentation; indent with spaces"},
    {YAML::ErrorMsg::UNKNOWN_TOKEN, "this character cannot start a value; put the value in quotes"},
    {YAML::ErrorMsg::DOC_IN_SCALAR, "a quote is not closed before here"},
    {YAML::ErrorMsg::EOF_IN_SCALAR, "a quote is not closed before here"},
    {YAML::ErrorMsg::CHAR_IN_SCALAR, "this character cannot stand in a value without quotes"},
    {YAML::ErrorMsg::INVALID_HEX, "\\x, \\u and \\U in double quotes need 2, 4 and 8 hex digits"},
    {YAML::ErrorMsg::INVALID_UNICODE, "an escape in double quotes is no Unicode character"},
    {YAML::ErrorMsg::INVALID_ESCAPE,
     "an unknown escape in double quotes; use single quotes for Windows paths: 'D:\\Dumps'"},
    {YAML::ErrorMsg::FLOW_END, "a ] or } that closes nothing, or not what was opened last"},
    {YAML::ErrorMsg::BLOCK_ENTRY, "a list item (- ...) cannot stand here; check the indentation"},
    {YAML::ErrorMsg::MAP_KEY, "a key cannot stand here; check the indentation"},
    {YAML::ErrorMsg::MAP_VALUE,
     "a \": \" cannot stand here; check the indentation, or put the value in quotes"},
    {YAML::ErrorMsg::CHAR_IN_BLOCK, "only an indentation digit, + or - may follow | or >"},
    {YAML::ErrorMsg::ZERO_INDENT_IN_BLOCK, "the indentation after | or > cannot be 0"},
    {YAML::ErrorMsg::UNKNOWN_ANCHOR, kNoAliases},
    {YAML::ErrorMsg::MULTIPLE_ANCHORS, kNoAnchors},
    {YAML::ErrorMsg::MULTIPLE_TAGS, kNoTags},
    {YAML::ErrorMsg::CHAR_IN_TAG_HANDLE, kNoTags},
    {YAML::ErrorMsg::TAG_WITH_NO_SUFFIX, kNoTags},
    {YAML::ErrorMsg::END_OF_VERBATIM_TAG, kNoTags},
    {YAML::ErrorMsg::ALIAS_NOT_FOUND, "a value that starts with * needs quotes"},
    {YAML::ErrorMsg::CHAR_IN_ALIAS, "a value that starts with * needs quotes"},
    {YAML::ErrorMsg::ANCHOR_NOT_FOUND, "a value that starts with & needs quotes"},
    {YAML::ErrorMsg::CHAR_IN_ANCHOR, "a value that starts with & needs quotes"},
    {YAML::ErrorMsg::BAD_FILE, "nested too deeply"},
};

absl::string_view InOurWords(absl::string_view theirs) {
  for (const Wording& wording : kWordings) {
    if (absl::StartsWith(theirs, wording.theirs)) return wording.ours;
  }
  return "this is not well-formed YAML; check the indentation and the quotes around here";
}

// Marks by byte offset.  Offsets come in ascending order but for the last
// thrown one, so columns are counted on from the one before.
class Locator {
 public:
  explicit Locator(absl::string_view text) : text_(text) {}

  Mark At(const YAML::Mark& theirs) {
    if (theirs.is_null()) return Mark{};
    return At(static_cast<std::size_t>(theirs.pos));
  }
  Mark At(std::size_t offset) {
    offset = std::min(offset, text_.size());
    if (offset < offset_) *this = Locator(text_);
    for (; offset_ < offset; ++offset_) {
      const unsigned char c = static_cast<unsigned char>(text_[offset_]);
      if (c == '\n') {
        mark_ = Mark{mark_.line + 1, 1};
      } else if ((c & 0xC0) != 0x80) {
        ++mark_.column;
      }
    }
    return mark_;
  }

 private:
  absl::string_view text_;
  std::size_t offset_ = 0;
  Mark mark_;
};

bool IsBadInScalar(char32_t c) { return IsControl(c) && c != '\n' && c != '\t'; }

// The offset of the first byte that a file may not hold, and why; "" when all is well.
std::pair<std::size_t, std::string> FirstBadCharacter(absl::string_view text) {
  for (absl::string_view rest = text; !rest.empty();) {
    const std::size_t offset = text.size() - rest.size();
    const std::optional<char32_t> c = TakeCodePoint(rest);
    if (!c) return {offset, "this is not valid UTF-8; save the file as UTF-8"};
    const bool line_end = *c == '\r' && absl::StartsWith(rest, "\n");
    if (IsBadInScalar(*c) && !line_end) {
      return {offset, absl::StrCat("control character ", Quote(text.substr(offset, 1)),
                                   " is not accepted; remove it")};
    }
  }
  return {0, ""};
}

// yaml-cpp lets the end of the file close a single quote.
bool QuoteIsClosed(absl::string_view text) {
  const char quote = text.empty() ? '\0' : text[0];
  if (quote != '\'' && quote != '"') return true;
  for (std::size_t i = 1; i < text.size(); ++i) {
    if (quote == '"' && text[i] == '\\') {
      ++i;
    } else if (text[i] == quote) {
      if (quote == '"' || i + 1 == text.size() || text[i + 1] != quote) return true;
      ++i;  // '' stands for one quote
    }
  }
  return false;
}

// The commonest mistake has no message of its own in yaml-cpp.
bool IsIndentedWithTab(absl::string_view text, const YAML::Mark& mark) {
  if (mark.is_null() || mark.pos < mark.column) return false;
  const std::size_t line = static_cast<std::size_t>(mark.pos - mark.column);
  if (line >= text.size()) return false;
  const absl::string_view rest = text.substr(line);
  return absl::StrContains(rest.substr(0, std::min(rest.find_first_not_of(" \t"), rest.size())),
                           '\t');
}

// How many brackets open at the start of the text, counted up to one more than `depth`.
int OpeningBrackets(absl::string_view text, int depth) {
  int count = 0;
  for (const char c : text) {
    if (c == '[' || c == '{') {
      if (++count > depth) break;
    } else if (c != ' ' && c != '\n' && c != '\r') {
      break;
    }
  }
  return count;
}

class TreeBuilder : public YAML::EventHandler {
 public:
  TreeBuilder(absl::string_view text, const Limits& limits, Problems& problems)
      : text_(text), limits_(limits), problems_(problems), locator_(text) {}

  std::vector<Node> TakeDocuments() { return std::move(documents_); }
  Mark At(const YAML::Mark& mark) { return locator_.At(mark); }
  void CheckDocumentLength(std::size_t end);
  std::string Path() const;

  void OnDocumentStart(const YAML::Mark& mark) override;
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override;
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override;
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override;
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    Open(Node::Kind::kList, mark, tag, anchor);
  }
  void OnSequenceEnd() override { Close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    Open(Node::Kind::kMap, mark, tag, anchor);
  }
  void OnMapEnd() override { Close(); }

 private:
  struct Frame {  // a list or map that is not closed yet
    Node node;
    bool has_key = false;  // kMap: the last entry waits for its value
    std::unordered_map<std::string, Mark> seen;
  };

  bool WantsKey() const {
    return !open_.empty() && open_.back().node.kind == Node::Kind::kMap && !open_.back().has_key;
  }
  Mark Count(const YAML::Mark& mark);
  void CheckAnchor(Mark mark, YAML::anchor_t anchor);
  void CheckTag(Mark mark, bool tagged);
  void Open(Node::Kind kind, const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor);
  void Close();
  void PlaceKey(Mark mark, const std::string& key);
  void Place(Node node);

  absl::string_view text_;
  const Limits& limits_;
  Problems& problems_;
  Locator locator_;
  std::vector<Node> documents_;
  std::vector<Frame> open_;
  std::size_t document_start_ = 0;
  int documents_started_ = 0;
  int nodes_ = 0;
};

std::string TreeBuilder::Path() const {
  std::string path;
  for (const Frame& frame : open_) {
    if (frame.node.kind == Node::Kind::kList) {
      absl::StrAppend(&path, "[", frame.node.items.size(), "]");
    } else if (frame.has_key) {
      absl::StrAppend(&path, path.empty() ? "" : ".", Printable(frame.node.entries.back().key));
    }
  }
  return path.size() <= 200 ? path : "";
}

void TreeBuilder::CheckDocumentLength(std::size_t end) {
  if (end - document_start_ <= limits_.bytes) return;
  problems_.Add(locator_.At(document_start_), "",
                absl::StrCat("this document is longer than ", limits_.bytes, " bytes"));
}

void TreeBuilder::OnDocumentStart(const YAML::Mark& mark) {
  const std::size_t offset = std::min(static_cast<std::size_t>(mark.pos), text_.size());
  if (documents_started_ > 0) {
    // yaml-cpp takes whatever follows a closed value for a new document.
    if (!absl::StartsWith(text_.substr(offset), "---")) {
      throw Refused{
          mark,
          "this follows the end of the document; check the brackets and the indentation before it"};
    }
    if (documents_started_ == limits_.documents) {
      throw Refused{mark, limits_.documents == 1
                              ? "a second document starts here; one document a file is accepted"
                              : absl::StrCat("at most ", limits_.documents,
                                             " documents a file are accepted")};
    }
    CheckDocumentLength(offset);
    document_start_ = offset;
  }
  ++documents_started_;
}

Mark TreeBuilder::Count(const YAML::Mark& mark) {
  if (++nodes_ > limits_.nodes) {
    throw Refused{mark, absl::StrCat("more than ", limits_.nodes, " values in one file")};
  }
  return locator_.At(mark);
}

void TreeBuilder::CheckAnchor(Mark mark, YAML::anchor_t anchor) {
  if (anchor == YAML::NullAnchor) return;
  problems_.Add(mark, Path(), kNoAnchors);
}

void TreeBuilder::CheckTag(Mark mark, bool tagged) {
  if (tagged) problems_.Add(mark, Path(), kNoTags);
}

void TreeBuilder::OnAlias(const YAML::Mark& mark, YAML::anchor_t) {
  throw Refused{mark, std::string(kNoAliases)};
}

void TreeBuilder::OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) {
  if (WantsKey()) throw Refused{mark, "a key is missing here; null and ~ are none"};
  Node node;
  node.mark = Count(mark);
  CheckAnchor(node.mark, anchor);
  // yaml-cpp puts a missing value where the next token is, often a line too far.
  if (!open_.empty() && open_.back().has_key) node.mark = open_.back().node.entries.back().mark;
  Place(std::move(node));
}

void TreeBuilder::OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                           const std::string& value) {
  Node node;
  node.kind = Node::Kind::kScalar;
  node.mark = Count(mark);
  CheckAnchor(node.mark, anchor);
  // "!" is yaml-cpp's sign for quotes and blocks, and also the non-specific tag.
  const std::size_t offset = static_cast<std::size_t>(mark.pos);
  const char source = offset < text_.size() ? text_[offset] : '\0';
  CheckTag(node.mark, (tag != "!" && tag != "?" && !tag.empty()) || source == '!');
  if (!QuoteIsClosed(text_.substr(std::min(offset, text_.size())))) {
    throw Refused{mark, std::string(kOpenQuote)};
  }
  for (absl::string_view rest = value; !rest.empty();) {
    const std::optional<char32_t> c = TakeCodePoint(rest);
    if (c && !IsBadInScalar(*c)) continue;
    problems_.Add(node.mark, Path(), "an escape in double quotes stands for a control character");
    break;
  }
  if (WantsKey()) return PlaceKey(node.mark, value);
  node.scalar = value;
  node.quoted = tag == "!";
  Place(std::move(node));
}

void TreeBuilder::Open(Node::Kind kind, const YAML::Mark& mark, const std::string& tag,
                       YAML::anchor_t anchor) {
  // Before what yaml-cpp makes of brackets that are never closed.
  const std::size_t offset = std::min(static_cast<std::size_t>(mark.pos), text_.size());
  const int opened = std::max(1, OpeningBrackets(text_.substr(offset), limits_.depth));
  if (open_.size() + static_cast<std::size_t>(opened) > static_cast<std::size_t>(limits_.depth)) {
    throw Refused{mark, absl::StrCat("nested more than ", limits_.depth, " levels deep")};
  }
  if (WantsKey()) {
    throw Refused{
        mark, absl::StrCat(KindName(kind), " stands where a key is wanted; is a ] or } missing?")};
  }
  Frame frame;
  frame.node.kind = kind;
  frame.node.mark = Count(mark);
  CheckAnchor(frame.node.mark, anchor);
  CheckTag(frame.node.mark, tag != "?" && !tag.empty());
  open_.push_back(std::move(frame));
}

void TreeBuilder::Close() {
  Node node = std::move(open_.back().node);
  open_.pop_back();
  Place(std::move(node));
}

void TreeBuilder::PlaceKey(Mark mark, const std::string& key) {
  Frame& map = open_.back();
  const auto seen = map.seen.emplace(key, mark);
  if (!seen.second) {
    problems_.Add(mark, Path(),
                  absl::StrCat("key ", Quote(key), " stands here again; it is in line ",
                               seen.first->second.line, " already; keep one"));
  }
  map.node.entries.push_back(Entry{key, mark, Node{}});
  map.has_key = true;
}

void TreeBuilder::Place(Node node) {
  if (open_.empty()) {
    if (node.kind == Node::Kind::kNull) problems_.Add(node.mark, "", "the document is empty");
    documents_.push_back(std::move(node));
  } else if (open_.back().node.kind == Node::Kind::kList) {
    open_.back().node.items.push_back(std::move(node));
  } else {
    open_.back().node.entries.back().value = std::move(node);
    open_.back().has_key = false;
  }
}

void ReadDocuments(const std::string& text, TreeBuilder& builder, Problems& problems) {
  try {
    std::istringstream stream(text);
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(builder)) {
    }
    builder.CheckDocumentLength(text.size());
  } catch (const Refused& refused) {
    problems.Add(builder.At(refused.mark), builder.Path(), refused.why);
  } catch (const YAML::Exception& e) {
    const bool tab = IsIndentedWithTab(text, e.mark);
    problems.Add(builder.At(e.mark), builder.Path(),
                 InOurWords(tab ? YAML::ErrorMsg::TAB_IN_INDENTATION : e.msg));
  } catch (const std::exception& e) {
    problems.Add(Mark{}, "", absl::StrCat("could not be read: ", Printable(e.what())));
  }
}

}  // namespace

const Node* Node::Find(absl::string_view key) const {
  const auto entry =
      std::find_if(entries.begin(), entries.end(), [key](const Entry& e) { return e.key == key; });
  return entry == entries.end() ? nullptr : &entry->value;
}

const char* KindName(Node::Kind kind) {
  switch (kind) {
    case Node::Kind::kNull:
      return "nothing";
    case Node::Kind::kScalar:
      return "a word";
    case Node::Kind::kList:
      return "a list";
    case Node::Kind::kMap:
      return "a map";
  }
  return "";
}

std::optional<std::vector<Node>> Parse(absl::string_view text, const Limits& limits,
                                       Problems& problems) {
  const std::size_t most = limits.bytes * static_cast<std::size_t>(limits.documents);
  if (text.size() > most) {
    problems.Add(
        Mark{}, "",
        absl::StrCat("the file has ", text.size(), " bytes; at most ", most, " are accepted"));
    return std::nullopt;
  }
  absl::ConsumePrefix(&text, "\xEF\xBB\xBF");
  if (const auto bad = FirstBadCharacter(text); !bad.second.empty()) {
    problems.Add(Locator(text).At(bad.first), "", bad.second);
    return std::nullopt;
  }
  const std::size_t before = problems.messages().size();
  TreeBuilder builder(text, limits, problems);
  ReadDocuments(std::string(text), builder, problems);
  std::vector<Node> documents = builder.TakeDocuments();
  if (problems.messages().size() != before) return std::nullopt;
  if (documents.empty()) {
    problems.Add(Mark{}, "", "the file is empty");
    return std::nullopt;
  }
  return documents;
}

}  // namespace dumpwarden::yaml
