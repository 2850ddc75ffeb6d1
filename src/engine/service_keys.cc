#include "engine/service_keys.h"

#include <algorithm>
#include <utility>

#include "contract/validate.h"
#include "engine/engine_keys.h"

namespace holdfast {
namespace {

constexpr View kEngineKeysBegin = "!";
constexpr View kEngineKeysEnd = "\"";

}  // namespace

void validate_service_key(View key) { validate_key(key, key.starts_with(kWakePrefix)); }

bool hides_engine_keys(const Range& range) {
  const bool ends_above = range.end.empty() || View(range.end) > kEngineKeysBegin;
  return View(range.begin) < kEngineKeysBegin && ends_above;
}

UnixMs earliest_wake_ms(const Batch& batch) {
  UnixMs earliest_ms = INT64_MAX;
  for (const Write& write : batch.writes) {
    if (!write.expires_at_ms || !write.key.starts_with(kWakePrefix)) continue;
    earliest_ms = std::min(earliest_ms, *write.expires_at_ms);
  }
  return earliest_ms;
}

std::vector<Range> visible_parts(const Range& range, KeySpace space) {
  if (space == KeySpace::engine || !hides_engine_keys(range)) return {range};
  std::vector<Range> parts{{range.begin, Bytes(kEngineKeysBegin)}};
  if (range.end.empty() || View(range.end) > kEngineKeysEnd) {
    parts.push_back({Bytes(kEngineKeysEnd), range.end});
  }
  return parts;
}

std::vector<Scan> visible_scans(const Range& range, const ScanOptions& options, KeySpace space) {
  std::vector<Scan> scans;
  for (Range& part : visible_parts(range, space)) scans.push_back({std::move(part), options});
  if (options.reverse) std::ranges::reverse(scans);
  return scans;
}

Page join_pages(std::vector<Page> pages, std::size_t limit) {
  Page joined = std::move(pages.front());
  for (std::size_t i = 1; i < pages.size() && !joined.more; ++i) {
    for (Entry& entry : pages[i].entries) {
      if (joined.entries.size() == limit) {
        joined.more = true;
        break;
      }
      joined.entries.push_back(std::move(entry));
    }
    joined.more |= pages[i].more;
  }
  return joined;
}

}  // namespace holdfast
