#include "cli/views.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "migrate/text.h"
#include "services/json_text.h"

namespace holdfast::cli {
namespace {

constexpr std::size_t kSampleEntries = 200;
constexpr std::size_t kViews = 500;
constexpr std::size_t kColumns = 100;
constexpr std::size_t kDepth = 3;

using Json = nlohmann::ordered_json;

/// The first two segments with their slashes, or what there is of them.
Bytes group_of(const Bytes& key) {
  const std::size_t first = key.find('/');
  if (first == Bytes::npos) return "";
  const std::size_t second = key.find('/', first + 1);
  return key.substr(0, (second == Bytes::npos ? first : second) + 1);
}

struct Column {
  std::string path;  ///< "$.name.\"of this\""
  bool is_integer = true;
  bool is_real = true;
};

/// Columns by name, in the order in which they were met.
class Columns {
 public:
  void add(const Json& value, const std::string& name, const std::string& path, std::size_t depth) {
    if (value.is_object() && depth < kDepth) {
      for (const auto& [member, inner] : value.items()) {
        if (member.find_first_of("\"\\") != std::string::npos) continue;
        add(inner, name.empty() ? member : name + "_" + member, path + ".\"" + member + "\"", depth + 1);
      }
      return;
    }
    if (name.empty()) return;
    auto found = std::ranges::find(columns_, name, &std::pair<std::string, Column>::first);
    if (found == columns_.end()) {
      if (columns_.size() == kColumns) return;
      columns_.push_back({name, {path}});
      found = std::prev(columns_.end());
    }
    if (value.is_null()) return;
    Column& column = found->second;
    column.is_integer = column.is_integer && value.is_number_integer();
    column.is_real = column.is_real && value.is_number();
  }

  const std::vector<std::pair<std::string, Column>>& all() const { return columns_; }

 private:
  std::vector<std::pair<std::string, Column>> columns_;
};

std::string quoted_name(const std::string& name) {
  std::string out = "\"";
  for (const char c : name) out += c == '"' ? std::string("\"\"") : std::string(1, c);
  return out + "\"";
}

std::string quoted_text(const std::string& text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("''") : std::string(1, c);
  return out + "'";
}

SqlView view_of(const Bytes& database, const Bytes& group, const std::vector<Entry>& sample) {
  Columns columns;
  for (const Entry& entry : sample) {
    const Json value = Json::parse(entry.value, nullptr, false);
    if (!value.is_discarded()) columns.add(value, "", "$", 0);
  }
  SqlView view;
  view.name = database + "/" + group.substr(0, group.empty() ? 0 : group.size() - 1);
  if (view.name.ends_with('/')) view.name.pop_back();
  std::vector<std::string> taken = {"key", "version", "expires_at_ms", "value"};
  const std::string is_document = "CASE WHEN json_valid(value) THEN value END";
  view.sql = "CREATE TEMP VIEW " + quoted_name(view.name) + " AS SELECT\n  substr(key, " +
             std::to_string(group.size() + 1) + ") AS key,\n";
  for (const auto& [name, column] : columns.all()) {
    std::string unique = name;
    while (std::ranges::find(taken, unique) != taken.end()) unique = "value_" + unique;
    taken.push_back(unique);
    const std::string extracted = is_document + " ->> " + quoted_text(column.path);
    const char* type = column.is_integer ? "INTEGER" : column.is_real ? "REAL" : nullptr;
    view.sql += "  " + (type == nullptr ? extracted : "CAST(" + extracted + " AS " + type + ")") + " AS " +
                quoted_name(unique) + ",\n";
  }
  if (columns.all().empty()) view.sql += "  value,\n";
  view.sql +=
      "  version,\n  expires AS expires_at_ms\nFROM readable\nWHERE database = " + quoted_text(database);
  view.sql += group.empty() ? " AND instr(key, '/') = 0;\n"
                            : " AND substr(key, 1, " + std::to_string(group.size()) +
                                  ") = " + quoted_text(group) + ";\n";
  return view;
}

}  // namespace

std::vector<SqlView> sql_views_of(const Database& database, const std::function<void()>& on_page) {
  std::vector<SqlView> views;
  std::vector<Entry> without_group;
  Range range = Range::all();
  for (bool more = true; more && views.size() < kViews;) {
    on_page();
    const Page first = database.scan(range, {.limit = 1});
    more = first.more;
    if (first.entries.empty()) break;
    const Bytes group = group_of(first.entries.front().key);
    if (group.empty()) {
      if (without_group.size() < kSampleEntries) without_group.push_back(first.entries.front());
      range.begin = first.entries.front().key + '\0';
      continue;
    }
    const Range of_group = Range::prefix(group);
    const Page sample = database.scan(of_group, {.limit = kSampleEntries});
    if (is_utf8(group)) views.push_back(view_of(database.name(), group, sample.entries));
    range.begin = of_group.end;
    if (of_group.end.empty()) break;
    more = true;
  }
  if (!without_group.empty()) views.push_back(view_of(database.name(), "", without_group));
  return views;
}

}  // namespace holdfast::cli
