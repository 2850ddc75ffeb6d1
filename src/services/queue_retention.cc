#include "services/queue_retention.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "holdfast/error.h"
#include "holdfast/limits.h"
#include "services/payload_codec.h"
#include "services/queue_record.h"

namespace holdfast {
namespace {

/// Jobs of one commit: each reads and writes several entries.
constexpr std::size_t kPrunedPerCommit = 50;

/// The key of the newest job that is one too many.
std::optional<Bytes> newest_to_go(const Database& database, const Range& all, std::size_t most) {
  Range range = all;
  std::size_t left = most;
  for (;;) {
    const Page page = database.scan(
        range, {.limit = std::min(limits::kScanEntries, left + 1), .reverse = true, .keys_only = true});
    if (page.entries.size() > left) return page.entries[left].key;
    if (!page.more || page.entries.empty()) return std::nullopt;
    left -= page.entries.size();
    range.end = page.entries.back().key;
  }
}

}  // namespace

void QueueRetention::note_kept(std::uint32_t most) {
  most_ = most;
  ++kept_;
}

void QueueRetention::prune_if_due() {
  const std::uint32_t kept = kept_;
  const std::uint32_t most = most_;
  if (kept == 0 || (is_known_ && kept <= most / 10)) return;
  if (kept_.exchange(0) == 0) return;
  try {
    prune(most);
    is_known_ = true;
  } catch (const Error&) {
    ++kept_;
    is_known_ = false;
  }
}

void QueueRetention::prune(std::uint32_t most) {
  const Range all = Range::prefix(keys_.finished());
  const std::optional<Bytes> newest = newest_to_go(database_, all, most);
  if (!newest) return;
  const Range range{all.begin, *newest + '\0'};
  for (bool is_more = true; is_more;) {
    database_.transact([&](Transaction& transaction) {
      const Page page =
          transaction.scan(range, {.limit = kPrunedPerCommit, .keys_only = true, .snapshot = true});
      is_more = page.more;
      std::vector<Bytes> keys;
      for (const Entry& entry : page.entries) {
        keys.push_back(keys_.done() + job_id_of(entry.key));
        keys.push_back(keys_.result(job_id_of(entry.key)));
        transaction.erase(entry.key);
      }
      if (keys.empty()) return;
      const std::vector<std::optional<Entry>> found = transaction.get(keys);
      for (std::size_t i = 0; i < found.size(); ++i) {
        if (!found[i]) continue;
        const bool is_job = i % 2 == 0;
        PayloadCodec::release(transaction, is_job ? JobRecord::parse_any(found[i]->value).body
                                                  : PayloadCodec::parse_bare(found[i]->value));
        transaction.erase(found[i]->key);
      }
    });
  }
}

}  // namespace holdfast
