#include "engine/log_keeper.h"

#include <algorithm>
#include <charconv>
#include <string>

#include "engine/engine.h"
#include "engine/engine_keys.h"
#include "holdfast/transaction.h"

namespace holdfast {
namespace {

constexpr std::size_t kConsumerBytes = 200;

Bytes pin_key(View consumer) {
  if (consumer.empty() || consumer.size() > kConsumerBytes) {
    throw Error(Code::invalid_argument, "the consumer of a pin has " + std::to_string(consumer.size()) +
                                            " bytes, it must have 1.." + std::to_string(kConsumerBytes));
  }
  return Bytes(kPinPrefix) + Bytes(consumer);
}

/// The lowest seq that is pinned. A pin that nobody can read keeps everything: its consumer may be newer.
Seq lowest_pin(Transaction& transaction) {
  Seq lowest = limits::kMaxSeq;
  Range range = Range::prefix(kPinPrefix);
  for (;;) {
    const Page page = transaction.scan(range);
    for (const Entry& entry : page.entries) lowest = std::min(lowest, parse_pin(entry.value).value_or(0));
    if (!page.more) return lowest;
    range.begin = page.entries.back().key + '\0';
  }
}

Seq announced(Transaction& transaction) {
  const std::optional<Entry> entry = transaction.get(kCompactKey);
  return entry ? parse_pin(entry->value).value_or(0) : 0;
}

/// The value of "!cycle": when the cycle began or, if it is done, ended; and which database came last.
struct Cycle {
  UnixMs at_ms = 0;
  std::optional<Bytes> after;

  static Cycle parse(View text) {
    Cycle cycle;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), cycle.at_ms);
    if (error != std::errc{}) return {};
    const View rest = text.substr(static_cast<std::size_t>(end - text.data()));
    if (rest.starts_with(' ')) cycle.after = Bytes(rest.substr(1));
    return cycle;
  }
  Bytes text() const { return std::to_string(at_ms) + (after ? " " + *after : ""); }
};

Cycle read_cycle(Engine& engine, EngineDatabase& store) {
  const View key = kCycleKey;
  const ReadAnswer answer = engine.read(store, {.gets = {&key, 1}});
  return answer.gets.front() ? Cycle::parse(answer.gets.front()->value) : Cycle{};
}

}  // namespace

void LogKeeper::pin(EngineDatabase& database, View consumer, Seq seq, UnixMs expires_at_ms,
                    Deadline deadline) {
  const Bytes key = pin_key(consumer);
  const auto transaction_body = [&](Transaction& transaction) {
    const Seq gone = std::max(announced(transaction), engine_.read(database, {.deadline = deadline}).floor);
    if (seq < gone) {
      throw Error(Code::compacted, "the change log of database \"" + database.name() + "\" begins at " +
                                       std::to_string(gone) + ", it cannot be pinned at " +
                                       std::to_string(seq) + "; resynchronise from a scan");
    }
    transaction.put(key, std::to_string(seq), expires_at_ms);
  };
  engine_.transact(database, transaction_body, deadline);
}

void LogKeeper::unpin(EngineDatabase& database, View consumer, Deadline deadline) {
  const Bytes key = pin_key(consumer);
  engine_.transact(
      database,
      [&](Transaction& transaction) {
        if (transaction.get(key)) transaction.erase(key);
      },
      deadline);
}

Seq LogKeeper::compact(EngineDatabase& database, Seq before, Deadline given) {
  const Deadline deadline = engine_.deadline(given);
  const ReadAnswer answer = engine_.read(database, {.deadline = deadline});
  // Also keeps a database that does not exist from being created by the announcement.
  if (std::min(before, answer.at.seq) <= answer.floor) return answer.floor;
  Seq target = 0;
  engine_.transact(
      database,
      [&](Transaction& transaction) {
        target = std::min({before, lowest_pin(transaction), transaction.position().seq});
        if (target > announced(transaction)) transaction.put(kCompactKey, std::to_string(target));
      },
      deadline);
  if (target <= answer.floor) return answer.floor;
  engine_.backend().compact(database.name(), target, deadline);
  return engine_.read(database, {.deadline = deadline}).floor;
}

UnixMs LogKeeper::next_look_ms() {
  const Cycle cycle = read_cycle(engine_, *engine_.database(kStoreDatabase));
  return cycle.after ? engine_.now_ms() : cycle.at_ms + kLogCycleMs;
}

std::size_t LogKeeper::look() {
  const auto store = engine_.database(kStoreDatabase);
  const Cycle cycle = read_cycle(engine_, *store);
  const std::vector<Bytes> names =
      engine_.backend().databases({}, cycle.after.value_or(Bytes{}), kLogLookDatabases, engine_.deadline({}));
  std::size_t compacted = 0;
  for (const Bytes& name : names) {
    try {
      compacted += look_at(name);
    } catch (const Error& error) {
      // A clock that is wrong is wrong for every database; anything else is this one's affair.
      if (error.code() == Code::closed || error.code() == Code::clock_skew) throw;
    }
  }
  Cycle next;
  next.at_ms = engine_.now_ms();
  if (names.size() == kLogLookDatabases) next.after.emplace(names.back());
  engine_.commit(*store, {{}, {Write::put(kCycleKey, next.text())}});
  return compacted;
}

std::size_t LogKeeper::look_at(View name) {
  const auto database = engine_.database(name);
  const ReadAnswer head = engine_.read(*database, {});
  const std::uint64_t commits = head.at.seq - head.floor;
  if (commits * limits::kBatchWrites < kept_rows_ / 2) return 0;
  const double rows_each = rows_per_commit(*database, head.at, head.floor);
  if (static_cast<double>(commits) * rows_each < static_cast<double>(kept_rows_) / 2) return 0;

  const auto store = engine_.database(kStoreDatabase);
  const Bytes key = Bytes(kLogPrefix) + Bytes(name);
  const View key_view = key;
  const ReadAnswer stored = engine_.read(*store, {.gets = {&key_view, 1}});
  LogSamples samples;
  if (stored.gets.front()) samples = LogSamples::parse(stored.gets.front()->value);
  const UnixMs now_ms = engine_.now_ms();
  samples.add(now_ms, head.at, limits::kLogKeptMs);
  // Blind: two who write it at once write nearly the same.
  engine_.commit(*store, {{}, {Write::put(key, samples.text())}});

  const auto kept_commits = static_cast<std::uint64_t>(static_cast<double>(kept_rows_) / rows_each);
  const Seq by_rows = head.at.seq - std::min(head.at.seq, kept_commits);
  const Seq before = std::min(by_rows, samples.seq_older_than(now_ms, limits::kLogKeptMs));
  if (before <= head.floor) return 0;
  return compact(*database, before) > head.floor ? 1 : 0;
}

double LogKeeper::rows_per_commit(EngineDatabase& database, Position at, Seq floor) {
  // Of old commits most keys have changed again and are not listed; only the newest show their rows.
  constexpr Seq kCommits = 200;
  const Seq since = std::max(floor, at.seq - std::min(at.seq, kCommits));
  const Changes changes = engine_.backend().changes(database.name(), {.since = {at.history, since},
                                                                      .range = Range::all(),
                                                                      .limit = 10'000,
                                                                      .keys_only = true,
                                                                      .token = 0,
                                                                      .deadline = engine_.deadline({})});
  const Seq covered = changes.through.seq - since;
  if (covered == 0) return 1;
  return std::max(1.0, static_cast<double>(changes.items.size()) / static_cast<double>(covered));
}

}  // namespace holdfast
