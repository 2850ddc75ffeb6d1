#include "services/lister.h"

#include <algorithm>
#include <string>

#include "contract/hex.h"
#include "contract/validate.h"
#include "holdfast/error.h"

namespace holdfast {
Bytes to_cursor(View place) {
  Bytes cursor;
  cursor.reserve(2 * place.size());
  for (const char c : place) append_hex(cursor, c);
  return cursor;
}

Bytes from_cursor(View cursor) {
  Bytes place;
  for (std::size_t i = 0; i + 1 < cursor.size(); i += 2) {
    const std::optional<char> byte = byte_of_hex(cursor[i], cursor[i + 1]);
    if (!byte) break;
    place += *byte;
  }
  if (2 * place.size() == cursor.size()) return place;
  throw Error(Code::invalid_argument,
              "the cursor of a list is none that a list has given; begin without one");
}

void validate_list_limit(std::size_t limit) {
  if (limit != 0 && limit <= limits::kListItems) return;
  throw Error(Code::invalid_argument, "a list of " + std::to_string(limit) +
                                          " items: the limit is at least 1 and at most " +
                                          std::to_string(limits::kListItems));
}

Bytes list_entries(const Database& database, View keys_prefix, const ListOptions& options,
                   const std::function<std::size_t(View user_key, Entry& entry)>& take) {
  return list_range(database, Range::prefix(Bytes(keys_prefix) + options.prefix), keys_prefix, options, take);
}

Bytes list_range(const Database& database, Range range, View keys_prefix, const ListOptions& options,
                 const std::function<std::size_t(View user_key, Entry& entry)>& take) {
  validate_list_limit(options.limit);
  if (!options.cursor.empty()) {
    const Bytes last = Bytes(keys_prefix) + from_cursor(options.cursor);
    if (options.reverse) {
      range.end = range.end.empty() ? last : std::min(range.end, last);
    } else {
      range.begin = std::max(range.begin, last + '\0');
    }
  }
  std::size_t items = 0;
  std::size_t bytes = 0;
  // One more than wanted tells whether there is more; where many are passed over, more are asked for.
  for (std::size_t asked = options.limit + 1;; asked = std::min(2 * asked, limits::kScanEntries)) {
    Page page = database.scan(range, {.limit = asked, .reverse = options.reverse});
    for (std::size_t i = 0; i < page.entries.size(); ++i) {
      Entry& entry = page.entries[i];
      const Bytes user_key = entry.key.substr(keys_prefix.size());
      const std::size_t size = take(user_key, entry);
      if (size == 0) continue;
      bytes += size;
      if (++items < options.limit && bytes < limits::kAnswerBytes) continue;
      return i + 1 < page.entries.size() || page.more ? to_cursor(user_key) : Bytes();
    }
    if (!page.more || page.entries.empty()) return {};
    const Bytes& last = page.entries.back().key;
    options.reverse ? range.end = last : range.begin = last + '\0';
  }
}

}  // namespace holdfast
