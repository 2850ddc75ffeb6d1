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

using Path = std::vector<std::string>;

struct Column {
  Path path;  ///< members, from the outside
  bool is_integer = true;
  bool is_real = true;
};

/// Columns by name, in the order in which they were met.
class Columns {
 public:
  void add(const Json& value, const std::string& name, const Path& path) {
    if (value.is_object() && path.size() < kDepth) {
      for (const auto& [member, inner] : value.items()) {
        if (member.find_first_of("\"\\") != std::string::npos) continue;
        Path longer = path;
        longer.push_back(member);
        add(inner, name.empty() ? member : name + "_" + member, longer);
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

/// Code points, as both dialects count the characters of a text.
std::size_t character_count(const Bytes& text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

std::string in_sqlite(const Column& column) {
  std::string path = "$";
  for (const std::string& member : column.path) path += ".\"" + member + "\"";
  const std::string extracted = "CASE WHEN json_valid(value) THEN value END ->> " + quoted_text(path);
  if (column.is_integer) return "CAST(" + extracted + " AS INTEGER)";
  return column.is_real ? "CAST(" + extracted + " AS REAL)" : extracted;
}

std::string in_postgresql(const Column& column) {
  std::string path;
  for (const std::string& member : column.path) path += (path.empty() ? "" : ", ") + quoted_text(member);
  path = "ARRAY[" + path + "]";
  if (!column.is_integer && !column.is_real) return "document #>> " + path;
  return "CASE WHEN jsonb_typeof(document #> " + path + ") = 'number' THEN (document #>> " + path +
         ")::numeric END";
}

/// A name that nobody has yet, short enough for the dialect.
std::string unique_name(std::string name, SqlDialect dialect, std::vector<std::string>& taken) {
  constexpr std::size_t kPostgresqlNameBytes = 63;
  for (std::string whole = name;; whole = "value_" + whole) {
    name = whole;
    if (dialect == SqlDialect::postgresql) {
      while (name.size() > kPostgresqlNameBytes || !is_utf8(name)) name.pop_back();
    }
    if (std::ranges::find(taken, name) == taken.end()) break;
  }
  taken.push_back(name);
  return name;
}

SqlView view_of(const Bytes& database, const Bytes& group, const std::vector<Entry>& sample,
                SqlDialect dialect, std::vector<std::string>& taken_views) {
  const bool is_sqlite = dialect == SqlDialect::sqlite;
  Columns columns;
  for (const Entry& entry : sample) {
    const Json value = Json::parse(entry.value, nullptr, false);
    if (!value.is_discarded()) columns.add(value, "", {});
  }
  SqlView view;
  view.name = database + "/" + group.substr(0, group.empty() ? 0 : group.size() - 1);
  if (view.name.ends_with('/')) view.name.pop_back();
  view.name = unique_name(view.name, dialect, taken_views);
  std::vector<std::string> taken = {"key", "version", "expires_at_ms", "value"};
  const std::string group_size = std::to_string(character_count(group));
  view.sql = "CREATE TEMP VIEW " + quoted_name(view.name) + " AS SELECT\n  substr(key, " + group_size +
             " + 1) AS key,\n";
  for (const auto& [name, column] : columns.all()) {
    view.sql += "  " + (is_sqlite ? in_sqlite(column) : in_postgresql(column)) + " AS " +
                quoted_name(unique_name(name, dialect, taken)) + ",\n";
  }
  if (columns.all().empty()) view.sql += "  value,\n";
  view.sql += "  version,\n  ";
  view.sql += is_sqlite ? "expires" : "(extract(epoch FROM expires) * 1000)::bigint";
  view.sql += " AS expires_at_ms\nFROM readable\nWHERE database = " + quoted_text(database);
  if (group.empty()) {
    view.sql += is_sqlite ? " AND instr(key, '/') = 0;\n" : " AND strpos(key, '/') = 0;\n";
  } else {
    view.sql += " AND substr(key, 1, " + group_size + ") = " + quoted_text(group) + ";\n";
  }
  return view;
}

}  // namespace

std::vector<SqlView> sql_views_of(const Database& database, SqlDialect dialect,
                                  const std::function<void()>& on_page) {
  std::vector<SqlView> views;
  std::vector<std::string> taken;
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
    if (is_utf8(group)) views.push_back(view_of(database.name(), group, sample.entries, dialect, taken));
    range.begin = of_group.end;
    if (of_group.end.empty()) break;
    more = true;
  }
  if (!without_group.empty()) views.push_back(view_of(database.name(), "", without_group, dialect, taken));
  return views;
}

}  // namespace holdfast::cli
