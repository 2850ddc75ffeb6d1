#include "services/database_sizes.h"

#include <algorithm>
#include <vector>

#include "holdfast/limits.h"
#include "holdfast/objects.h"

namespace holdfast {
namespace {

constexpr std::size_t kObjectsPerPage = 1'000;

}  // namespace

DatabaseSizes sizes_of(const Database& database, const std::function<void()>& before_page) {
  DatabaseSizes sizes;
  Range range = Range::all();
  for (bool more = true; more;) {
    before_page();
    const Page page = database.scan(range, {.limit = limits::kScanEntries});
    for (const Entry& entry : page.entries) {
      sizes.key_bytes += entry.key.size();
      sizes.value_bytes += entry.value.size();
      sizes.largest_value_bytes = std::max<std::uint64_t>(sizes.largest_value_bytes, entry.value.size());
      sizes.expiring += entry.expires_at_ms ? 1 : 0;
    }
    sizes.entries += page.entries.size();
    more = page.more;
    if (!page.entries.empty()) range.begin = page.entries.back().key + '\0';
  }
  Bytes after;
  for (bool more = true; more;) {
    before_page();
    const std::vector<ObjectInfo> page = database.objects().list(INT64_MAX, after, kObjectsPerPage);
    for (const ObjectInfo& info : page) {
      ++(info.complete ? sizes.objects : sizes.unfinished_uploads);
      sizes.object_bytes += info.complete ? info.size_bytes : 0;
    }
    more = page.size() == kObjectsPerPage;
    if (more) after = page.back().id;
  }
  return sizes;
}

}  // namespace holdfast
