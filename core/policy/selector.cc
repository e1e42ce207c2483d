// SPDX-License-Identifier: Apache-2.0
#include "core/policy/selector.h"

#include <algorithm>
#include <cstdint>
#include <optional>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/text.h"
#include "core/base/yaml_reader.h"
#include "core/policy/facts.h"

namespace dumpwarden {
namespace {

using Operator = Requirement::Operator;

struct OperatorWord {
  absl::string_view word;
  Operator op;
};
constexpr OperatorWord kOperators[] = {
    {"In", Operator::kIn},         {"NotIn", Operator::kNotIn},
    {"Exists", Operator::kExists}, {"DoesNotExist", Operator::kDoesNotExist},
    {"Gt", Operator::kGt},         {"Gte", Operator::kGte},
    {"Lt", Operator::kLt},         {"Lte", Operator::kLte},
};

absl::string_view WordOf(Operator op) {
  for (const OperatorWord& row : kOperators) {
    if (row.op == op) return row.word;
  }
  return "";
}

bool ComparesNumbers(Operator op) {
  return op == Operator::kGt || op == Operator::kGte || op == Operator::kLt || op == Operator::kLte;
}

// Canonical decimal only: 0x10, 1e3, 007 and +5 are no numbers.
std::optional<std::int64_t> AsNumber(absl::string_view text) {
  std::int64_t number = 0;
  if (!absl::SimpleAtoi(text, &number) || absl::StrCat(number) != text) return std::nullopt;
  return number;
}

bool Compare(Operator op, const std::string& actual, const std::string& wanted) {
  const std::optional<std::int64_t> a = AsNumber(actual);
  const std::optional<std::int64_t> b = AsNumber(wanted);
  if (!a || !b) return false;
  if (op == Operator::kGt) return *a > *b;
  if (op == Operator::kGte) return *a >= *b;
  if (op == Operator::kLt) return *a < *b;
  return *a <= *b;
}

bool Holds(const Requirement& requirement, const std::optional<std::string>& actual) {
  const auto& values = requirement.values;
  const bool listed = actual && std::find(values.begin(), values.end(), *actual) != values.end();
  switch (requirement.op) {
    case Operator::kIn:
      return listed;
    case Operator::kNotIn:
      return !listed;
    case Operator::kExists:
      return actual.has_value();
    case Operator::kDoesNotExist:
      return !actual.has_value();
    case Operator::kGt:
    case Operator::kGte:
    case Operator::kLt:
    case Operator::kLte:
      return actual && values.size() == 1 && Compare(requirement.op, *actual, values[0]);
  }
  return false;
}

std::string ToText(const Requirement& requirement) {
  const std::string head = absl::StrCat(Printable(requirement.key), " ", WordOf(requirement.op));
  if (requirement.values.empty()) return head;
  return absl::StrCat(head, " (", Printable(absl::StrJoin(requirement.values, ", ")), ")");
}

void CheckKey(const std::string& key, Mark mark, absl::string_view path, UnknownFacts unknown,
              Problems& problems) {
  const std::vector<std::string>& known = FactKeys();
  if (!IsFactKey(key)) {
    if (absl::Status status = CheckLabelKey(key); !status.ok()) {
      problems.Add(mark, path, status.message());
    }
  } else if (unknown == UnknownFacts::kRefuse &&
             std::find(known.begin(), known.end(), key) == known.end()) {
    const std::string nearest = NearestWord(key, known);
    problems.Add(
        mark, path,
        absl::StrCat("unknown fact ", Quote(key), "; accepted: ", absl::StrJoin(known, ", "),
                     " and labels",
                     nearest.empty() ? "" : absl::StrCat("; did you mean `", nearest, "`?")));
  }
}

std::vector<std::string> ReadValues(const yaml::Node& node, absl::string_view path,
                                    Problems& problems) {
  std::vector<std::string> values;
  if (node.kind != yaml::Node::Kind::kList) {
    problems.Add(node.mark, path,
                 absl::StrCat("found ", yaml::Found(node), "; a list is accepted"));
    return values;
  }
  for (const yaml::Node& item : node.items) {
    if (item.kind == yaml::Node::Kind::kScalar) {
      values.push_back(item.scalar);
    } else {
      problems.Add(item.mark, path,
                   absl::StrCat("found ", yaml::Found(item), "; a text is accepted"));
    }
  }
  return values;
}

std::optional<Operator> ReadOperator(yaml::MapReader& reader, Mark mark, Problems& problems) {
  const std::optional<std::string> word = reader.RequireText("operator");
  if (!word) return std::nullopt;
  std::vector<std::string> words;
  for (const OperatorWord& row : kOperators) {
    if (row.word == *word) return row.op;
    words.emplace_back(row.word);
  }
  const std::string nearest = NearestWord(*word, words);
  problems.Add(
      mark, reader.PathOf("operator"),
      absl::StrCat("unknown operator ", Quote(*word), "; accepted: ", absl::StrJoin(words, ", "),
                   nearest.empty() ? "" : absl::StrCat("; did you mean `", nearest, "`?")));
  return std::nullopt;
}

// "" when `requirement` has the values that its operator wants.
std::string WrongValues(const Requirement& requirement) {
  const absl::string_view word = WordOf(requirement.op);
  const auto& values = requirement.values;
  if (requirement.op == Operator::kExists || requirement.op == Operator::kDoesNotExist) {
    return values.empty() ? "" : absl::StrCat(word, " takes no values");
  }
  if (ComparesNumbers(requirement.op)) {
    if (values.size() == 1 && AsNumber(values[0])) return "";
    return absl::StrCat(word, " takes exactly one value, a whole decimal number");
  }
  return values.empty() ? absl::StrCat(word, " takes at least one value") : "";
}

void ReadExpression(const yaml::Node& node, absl::string_view path, Problems& problems,
                    UnknownFacts unknown, Selector& selector) {
  yaml::MapReader reader(node, path, problems);
  Requirement requirement;
  const yaml::Node* key = reader.Require("key");
  if (key != nullptr && key->kind == yaml::Node::Kind::kScalar) {
    requirement.key = key->scalar;
    CheckKey(key->scalar, key->mark, reader.PathOf("key"), unknown, problems);
  } else if (key != nullptr) {
    problems.Add(key->mark, reader.PathOf("key"),
                 absl::StrCat("found ", yaml::Found(*key), "; a label or a fact is accepted"));
  }
  const yaml::Node* word = node.Find("operator");
  const std::optional<Operator> op =
      ReadOperator(reader, word != nullptr ? word->mark : node.mark, problems);
  const yaml::Node* values = reader.Take("values");
  if (values != nullptr) {
    requirement.values = ReadValues(*values, reader.PathOf("values"), problems);
  }
  reader.Finish();
  if (!op) return;
  requirement.op = *op;
  if (const std::string wrong = WrongValues(requirement); !wrong.empty()) {
    problems.Add(values != nullptr ? values->mark : node.mark, reader.PathOf("values"), wrong);
  }
  selector.requirements.push_back(std::move(requirement));
}

void ReadLabels(const yaml::Node& node, absl::string_view path, Problems& problems,
                UnknownFacts unknown, Selector& selector) {
  yaml::MapReader reader(node, path, problems);
  for (const yaml::Entry& entry : node.entries) {
    CheckKey(entry.key, entry.mark, path, unknown, problems);
    if (std::optional<std::string> value = reader.TakeText(entry.key)) {
      selector.requirements.push_back({entry.key, Operator::kIn, {*std::move(value)}});
    }
  }
}

}  // namespace

Selector ReadSelector(const yaml::Node& node, absl::string_view path, Problems& problems,
                      UnknownFacts unknown) {
  Selector selector;
  yaml::MapReader reader(node, path, problems);
  if (const yaml::Node* labels = reader.Take("matchLabels")) {
    ReadLabels(*labels, reader.PathOf("matchLabels"), problems, unknown, selector);
  }
  const yaml::Node* expressions = reader.Take("matchExpressions");
  const std::string list_path = reader.PathOf("matchExpressions");
  if (expressions != nullptr && expressions->kind != yaml::Node::Kind::kList) {
    problems.Add(expressions->mark, list_path,
                 absl::StrCat("found ", yaml::Found(*expressions), "; a list is accepted"));
  } else if (expressions != nullptr) {
    for (std::size_t i = 0; i < expressions->items.size(); ++i) {
      ReadExpression(expressions->items[i], absl::StrCat(list_path, "[", i, "]"), problems, unknown,
                     selector);
    }
  }
  reader.Finish();
  return selector;
}

bool Matches(const Selector& selector, const v1::Facts& facts) {
  return std::all_of(selector.requirements.begin(), selector.requirements.end(),
                     [&](const Requirement& r) { return Holds(r, LookUpFact(facts, r.key)); });
}

std::string WhyNot(const Selector& selector, const v1::Facts& facts) {
  for (const Requirement& requirement : selector.requirements) {
    const std::optional<std::string> actual = LookUpFact(facts, requirement.key);
    if (Holds(requirement, actual)) continue;
    const std::string key = Printable(requirement.key);
    return absl::StrCat(ToText(requirement), ": ",
                        actual ? absl::StrCat(key, " is ", Printable(*actual))
                               : absl::StrCat("the host has no ", key));
  }
  return "";
}

}  // namespace dumpwarden
