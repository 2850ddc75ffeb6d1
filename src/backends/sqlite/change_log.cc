#include "backends/sqlite/change_log.h"

namespace holdfast::sqlite {

void ChangeLog::append(std::int64_t database, Seq seq, std::vector<Bytes>& keys) {
  if (row_.full()) flush(database);
  row_.append(seq, keys);
}

void ChangeLog::flush(std::int64_t database) {
  if (row_.empty()) return;
  insert_.bind(database, row_.last(), row_.bytes()).run();
  row_.clear();
}

void ChangeLog::walk(std::int64_t database, Seq since,
                     const std::function<bool(Seq seq, const std::vector<View>& keys)>& visit) {
  Rows rows(walk_.bind(database, since));
  while (rows.next()) {
    const bool go_on = for_each_commit(walk_.bytes(0), [&](Seq seq, const std::vector<View>& keys) {
      return seq <= since || visit(seq, keys);
    });
    if (!go_on) return;
  }
}

bool ChangeLog::trim(std::int64_t database, Seq floor, std::int64_t limit) {
  trim_.bind(database, floor, limit).run();
  return connection_.changes() == limit;
}

}  // namespace holdfast::sqlite
