#include "engine/digest.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <array>
#include <map>
#include <set>
#include <unordered_map>

#include "contract/head.h"
#include "engine/engine.h"
#include "engine/engine_keys.h"

namespace holdfast {
namespace {

void update(XXH3_state_t& state, std::uint64_t number) {
  std::array<unsigned char, 8> bytes;
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<unsigned char>(number >> (8 * i));
  XXH3_128bits_update(&state, bytes.data(), bytes.size());
}

struct Expiring {
  EntryHash hash;
  std::optional<UnixMs> expires_at_ms;
};

/// What is known of the entries of one stretch of keys.
struct DigestPage {
  Digest lasting;                  ///< of the entries without expiry
  std::vector<Expiring> expiring;  ///< the others: which of them count is decided at the end
  /// A page that was written to: its entries one by one, and then nothing else.
  std::optional<std::unordered_map<Bytes, Expiring>> entries;
};

class DigestRun {
 public:
  DigestRun(Engine& engine, EngineDatabase& database, const DigestRequest& request)
      : engine_(engine), database_(database), request_(request) {}

  Digest run() {
    read_all();
    follow();
    return total();
  }

 private:
  using Pages = std::map<Bytes, DigestPage, std::less<>>;

  void check_deadline() const {
    if (engine_.clock().steady_now() < request_.deadline) return;
    throw Error(Code::timeout, "the digest of database \"" + database_.name() +
                                   "\" was not done at its deadline; give it more time, or fewer commits");
  }

  ReadAnswer read(std::span<const Scan> scans) {
    check_deadline();
    return engine_.read(database_, {.scans = scans,
                                    .history = through_.history,
                                    .token = request_.token,
                                    .deadline = request_.deadline});
  }

  void read_all() {
    Scan scan{Range::all(), {.limit = request_.page_entries}};
    for (bool more = true; more;) {
      ReadAnswer answer = read({&scan, 1});
      // Later pages may be newer; what was committed since is in the change log.
      if (pages_.empty()) through_ = answer.at;
      DigestPage& page = pages_[scan.range.begin];
      for (const Entry& entry : answer.pages.front().entries) {
        if (!is_digested(entry.key)) continue;
        const EntryHash hash = hash_of(entry.key, entry.value, entry.expires_at_ms);
        if (entry.expires_at_ms) {
          page.expiring.push_back({hash, entry.expires_at_ms});
        } else {
          add(page.lasting, hash);
        }
      }
      more = advance(scan, answer.pages.front());
    }
  }

  /// Moves a scan behind what it has given; false if there is no more.
  static bool advance(Scan& scan, const Page& page) {
    if (!page.entries.empty()) scan.range.begin = page.entries.back().key + '\0';
    return page.more;
  }

  void follow() {
    std::set<Bytes> outdated;
    for (;;) {
      check_deadline();
      const Changes changes = engine_.backend().changes(database_.name(), {.since = through_,
                                                                           .range = Range::all(),
                                                                           .limit = limits::kScanEntries,
                                                                           .keys_only = false,
                                                                           .token = request_.token,
                                                                           .deadline = request_.deadline});
      for (const Change& change : changes.items) apply(change, outdated);
      through_ = changes.through;
      if (!changes.caught_up()) continue;
      if (outdated.empty()) return;
      for (const Bytes& begin : outdated) read_again(begin);
      outdated.clear();
    }
  }

  void apply(const Change& change, std::set<Bytes>& outdated) {
    if (!is_digested(change.key)) return;
    const auto page = std::prev(pages_.upper_bound(change.key));
    if (!page->second.entries) {
      outdated.insert(page->first);
    } else if (change.entry) {
      const Entry& entry = *change.entry;
      (*page->second.entries)[change.key] = {hash_of(entry.key, entry.value, entry.expires_at_ms),
                                             entry.expires_at_ms};
    } else {
      page->second.entries->erase(change.key);
    }
  }

  void read_again(const Bytes& begin) {
    const auto page = pages_.find(begin);
    const auto after = std::next(page);
    page->second = {};
    auto& entries = page->second.entries.emplace();
    Scan scan{{begin, after == pages_.end() ? Bytes{} : after->first}, {.limit = request_.page_entries}};
    for (bool more = true; more;) {
      ReadAnswer answer = read({&scan, 1});
      for (Entry& entry : answer.pages.front().entries) {
        if (!is_digested(entry.key)) continue;
        const EntryHash hash = hash_of(entry.key, entry.value, entry.expires_at_ms);
        entries.insert_or_assign(entry.key, Expiring{hash, entry.expires_at_ms});
      }
      more = advance(scan, answer.pages.front());
    }
  }

  Digest total() {
    // No scan before was judged at a later time than this answer, so nothing that counts now was left out.
    const UnixMs time_ms = read({}).time_ms;
    Digest digest;
    for (const auto& [begin, page] : pages_) {
      const std::uint64_t entries = digest.entries + page.lasting.entries;
      add(digest, {page.lasting.high, page.lasting.low});
      digest.entries = entries;
      for (const Expiring& entry : page.expiring) add_live(digest, entry, time_ms);
      if (!page.entries) continue;
      for (const auto& [key, entry] : *page.entries) add_live(digest, entry, time_ms);
    }
    digest.at = through_;
    return digest;
  }

  static void add_live(Digest& digest, const Expiring& entry, UnixMs time_ms) {
    if (is_live(entry.expires_at_ms, time_ms)) add(digest, entry.hash);
  }

  Engine& engine_;
  EngineDatabase& database_;
  const DigestRequest request_;
  /// The pages together are the state after this commit, but for those that follow() finds outdated.
  Position through_;
  Pages pages_;
};

}  // namespace

EntryHash hash_of(View key, View value, std::optional<UnixMs> expires_at_ms) {
  XXH3_state_t state;
  XXH3_128bits_reset(&state);
  update(state, key.size());
  XXH3_128bits_update(&state, key.data(), key.size());
  update(state, value.size());
  XXH3_128bits_update(&state, value.data(), value.size());
  const unsigned char expires = expires_at_ms ? 1 : 0;
  XXH3_128bits_update(&state, &expires, 1);
  update(state, static_cast<std::uint64_t>(expires_at_ms.value_or(0)));
  const XXH128_hash_t hash = XXH3_128bits_digest(&state);
  return {hash.high64, hash.low64};
}

void add(Digest& digest, const EntryHash& hash) {
  digest.low += hash.low;
  digest.high += hash.high + (digest.low < hash.low ? 1 : 0);
  ++digest.entries;
}

bool is_digested(View key) { return !key.starts_with(kPinPrefix) && key != kCompactKey; }

Digest digest_of(Engine& engine, EngineDatabase& database, const DigestRequest& given) {
  DigestRequest request = given;
  request.deadline = engine.deadline(given.deadline);
  for (;;) {
    try {
      return DigestRun(engine, database, request).run();
    } catch (const Error& error) {
      // The past that the pages stand on is gone: another past, another digest.
      if (error.code() != Code::history_changed && error.code() != Code::compacted) throw;
    }
  }
}

}  // namespace holdfast
