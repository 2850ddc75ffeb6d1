#include "backends/sqlite/judge.h"

#include <algorithm>

#include "contract/head.h"

namespace holdfast::sqlite {

std::optional<std::size_t> Judge::first_failed(std::int64_t database, Seq floor,
                                               std::span<const Check> checks, UnixMs time_ms) {
  for (std::size_t i = 0; i < checks.size(); ++i) {
    if (!holds(database, floor, checks[i], time_ms)) return i;
  }
  return std::nullopt;
}

bool Judge::holds(std::int64_t database, Seq floor, const Check& check, UnixMs time_ms) {
  if (check.kind == Check::Kind::unchanged) return is_unchanged(database, floor, check, time_ms);
  const std::optional<StoredEntry> found = entries_.find(database, check.key);
  const bool live = found && is_live(found->expires_at_ms, time_ms);
  return check.kind == Check::Kind::absent ? !live : live && found->version == check.version;
}

bool Judge::is_unchanged(std::int64_t database, Seq floor, const Check& check, UnixMs time_ms) {
  if (check.version < floor) return false;
  const auto in_range = [&](View key) { return key >= check.key && (check.end.empty() || key < check.end); };
  std::size_t rows = 0;
  bool unchanged = true;
  log_.walk(database, check.version, [&](Seq /*seq*/, const std::vector<View>& keys) {
    rows += keys.size();
    unchanged = rows <= limits::kUnchangedLogRows && std::none_of(keys.begin(), keys.end(), in_range);
    return unchanged;
  });
  return unchanged &&
         !entries_.any_expired_between(database, check.key, check.end, check.read_time_ms, time_ms);
}

}  // namespace holdfast::sqlite
