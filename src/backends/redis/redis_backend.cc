#include "backends/redis/redis_backend.h"

#include <algorithm>
#include <functional>
#include <tuple>
#include <utility>

#include "backends/redis/committing.h"
#include "backends/redis/server.h"
#include "backends/redis/waiting.h"
#include "contract/answer.h"

namespace holdfast {
namespace redis {
namespace {

constexpr std::size_t kLanes = 4;
constexpr std::chrono::milliseconds kWakeBound{100};
/// Pages of changes, and steps of a compaction, are bounded; so are attempts to get past one another.
constexpr int kMostFenceAttempts = 100;

/// The key of a page's element and the element that follows.
template <class Take>
void each_pair(const redisReply& reply, std::size_t from, Take&& take) {
  const std::vector<const redisReply*> parts = elements_of(reply);
  for (std::size_t i = from; i + 1 < parts.size(); i += 2) take(text_of(*parts[i]), text_of(*parts[i + 1]));
}

Arguments arguments_of(const ReadRequest& request) {
  Arguments out{std::to_string(request.now_ms), std::to_string(request.gets.size())};
  for (const View key : request.gets) out.add(key);
  out.add(std::to_string(request.scans.size()));
  for (const Scan& scan : request.scans) {
    out.add(scan.range.begin);
    out.add(scan.range.end);
    out.add(std::to_string(scan.options.limit));
    out.add(scan.options.reverse ? "r" : "f");
    out.add(scan.options.keys_only ? "k" : "v");
  }
  out.add(std::to_string(request.checks.size()));
  for (const Check& check : request.checks) add_check(out, check);
  return out;
}

class RedisBackend final : public Backend {
 public:
  RedisBackend(const std::vector<Address>& addresses, const Options& options, const Environment& environment)
      : clock_(environment.clock),
        server_(addresses, environment, options.text("prefix"),
                static_cast<std::size_t>(options.integer("connections"))),
        committing_(server_, environment, options.integer("wait_replicas")),
        waiting_(server_.nodes(), environment.clock,
                 [this](std::span<const Cursor> cursors, std::span<const std::size_t> which,
                        Deadline deadline) { return server_.behind(cursors, which, deadline); }) {
    const std::vector<ServerFacts> nodes = server_.open(effective({}));
    const bool all_sync = std::all_of(nodes.begin(), nodes.end(),
                                      [](const ServerFacts& facts) { return facts.syncs_always(); });
    traits_.name = "redis";
    traits_.durability = all_sync ? Durability::disk : Durability::process;
    traits_.shared_by_processes = true;
    // A replica may be promoted that has not heard of the newest commits, and a server that does not sync
    // each commit forgets some when it stops; the history changes then.
    // A cluster gives its replicas to whoever needs them.
    traits_.keeps_acknowledged = all_sync && !addresses.front().cluster && nodes.front().replicas == 0;
    traits_.wake_bound = kWakeBound;
  }

  const Traits& traits() const override { return traits_; }
  std::size_t lane(View database) const override { return std::hash<View>{}(database) % kLanes; }

  ReadAnswer read(View database, const ReadRequest& request) override {
    if (request.gets.size() == 1 && request.scans.empty() && request.checks.empty()) {
      return read_one(database, request);
    }
    const Reply reply = server_.call(database, "read", arguments_of(request), effective(request.deadline));
    const std::vector<const redisReply*> parts = elements_of(*reply, 5);
    const StoredHead head = head_of(*parts[1]);
    const UnixMs time_ms = admit_read(database, head.head, request);
    ReadAnswer answer;
    answer.at = head.head.position();
    answer.time_ms = time_ms;
    answer.floor = head.head.floor;
    const std::vector<const redisReply*> gets = elements_of(*parts[2]);
    answer.gets.reserve(gets.size());
    for (std::size_t i = 0; i < gets.size(); ++i) {
      const std::optional<View> stored = optional_text(*gets[i]);
      answer.gets.push_back(stored ? std::optional(decode_entry(request.gets[i], *stored)) : std::nullopt);
    }
    for (const redisReply* one : elements_of(*parts[3])) {
      Page page;
      page.at = answer.at;
      page.more = elements_of(*one, 1)[0]->integer != 0;
      page.entries.reserve((one->elements - 1) / 2);
      each_pair(*one, 1, [&](View key, View stored) { page.entries.push_back(decode_entry(key, stored)); });
      answer.pages.push_back(std::move(page));
    }
    if (parts[4]->integer >= 0) answer.failed_check = static_cast<std::size_t>(parts[4]->integer);
    return answer;
  }

  void commit(std::span<Group> groups) override {
    std::vector<Group*> open;
    Deadline deadline = Deadline::max();
    for (Group& group : groups) {
      group.outcomes.clear();
      group.error.reset();
      deadline = std::min(deadline, effective(group.deadline));
      open.push_back(&group);
    }
    committing_.commit(std::move(open), deadline);
  }

  Changes changes(View database, const ChangesRequest& request) override {
    const Reply reply =
        server_.call(database, "changes",
                     {hex16(request.since.history), std::to_string(request.since.seq), request.range.begin,
                      request.range.end, std::to_string(request.limit), request.keys_only ? "k" : "v"},
                     effective(request.deadline));
    const std::vector<const redisReply*> parts = elements_of(*reply, 4);
    const StoredHead head = head_of(*parts[1]);
    admit_changes(database, head.head, request);
    Changes page;
    page.head = head.head.seq;
    page.through = {head.head.history, parse_unsigned(text_of(*parts[2]))};
    const std::vector<const redisReply*> items = elements_of(*parts[3]);
    for (std::size_t i = 0; i + 2 < items.size(); i += 3) {
      Change change;
      change.version = parse_unsigned(text_of(*items[i]));
      change.key = Bytes(text_of(*items[i + 1]));
      const std::optional<View> stored = optional_text(*items[i + 2]);
      change.erased = !stored;
      if (stored && !request.keys_only) change.entry = decode_entry(change.key, *stored);
      page.items.push_back(std::move(change));
    }
    std::sort(page.items.begin(), page.items.end(), [](const Change& a, const Change& b) {
      return std::tie(a.version, a.key) < std::tie(b.version, b.key);
    });
    return page;
  }

  void compact(View database, Seq before, Deadline deadline) override {
    deadline = effective(deadline);
    while (true) {
      const Reply reply = server_.call(database, "compact", {std::to_string(before)}, deadline);
      // What is left is below the floor, and the next call frees it.
      if (reply->integer == 0 || clock_->steady_now() >= deadline) return;
    }
  }

  bool fence(View database, const Fence& expected, const Fence& next, Deadline deadline) override {
    deadline = effective(deadline);
    for (int attempt = 0; attempt < kMostFenceAttempts; ++attempt) {
      const StoredHead stored = server_.head(database, deadline);
      const std::optional<Head> after = apply_fence(stored.head, expected, next);
      if (!after) return false;
      const bool ends_import = after->history != stored.head.history;
      Arguments arguments{database, server_.names().of(database).base, hex16(stored.head.history),
                          stored.fence, encode_fence(after->fence)};
      if (ends_import) {
        arguments.add(hex16(after->history));
        arguments.add(std::to_string(after->seq));
        arguments.add(std::to_string(after->time_ms));
      }
      const Reply reply = server_.call_once(database, "fence", arguments, deadline);
      if (reply->integer == 1) return true;
    }
    throw Error(Code::unavailable,
                "the fence of database \"" + Bytes(database) + "\" is being changed by others; try again");
  }

  std::vector<Bytes> databases(View prefix, View after, std::size_t limit, Deadline deadline) override {
    const std::string from = after < prefix ? "[" + std::string(prefix) : "(" + std::string(after);
    const Bytes beyond = Range::prefix(prefix).end;
    const std::string to = beyond.empty() ? "+" : "(" + beyond;
    std::vector<Bytes> names;
    for (const Answer& answer : server_.listed(from, to, limit, effective(deadline))) {
      for (const redisReply* name : elements_of(*answer.reply)) names.emplace_back(text_of(*name));
    }
    std::sort(names.begin(), names.end());
    if (names.size() > limit) names.resize(limit);
    return names;
  }

  bool drop(View database, std::uint64_t history, Deadline deadline) override {
    const DatabaseKeys keys = server_.names().of(database);
    const Reply reply = server_.call_once(
        database, "drop", {database, keys.encoded_name, keys.base, hex16(history)}, effective(deadline));
    return reply->integer == 1;
  }

  ExpiredAnswer expired(UnixMs now_ms, std::size_t limit, Deadline deadline) override {
    ExpiredAnswer answer;
    const auto note_due = [&](UnixMs due_ms) {
      answer.next_due_ms = std::min(answer.next_due_ms.value_or(due_ms), due_ms);
    };
    for (const Answer& of_tag : server_.expired(now_ms, limit, effective(deadline))) {
      const std::vector<const redisReply*> parts = elements_of(*of_tag.reply, 1);
      if (const std::optional<View> due = optional_text(*parts[0])) note_due(parse_signed(*due));
      for (std::size_t i = 1; i + 2 < parts.size(); i += 3) {
        answer.items.push_back({decode_name(text_of(*parts[i])), Bytes(text_of(*parts[i + 1])),
                                parse_signed(text_of(*parts[i + 2]))});
      }
    }
    std::sort(answer.items.begin(), answer.items.end(), [](const Expired& a, const Expired& b) {
      return std::tie(a.expires_at_ms, a.database, a.key) < std::tie(b.expires_at_ms, b.database, b.key);
    });
    if (answer.items.size() > limit) {
      note_due(answer.items[limit].expires_at_ms);
      answer.items.resize(limit);
    }
    return answer;
  }

  std::vector<std::size_t> wait(std::span<const Cursor> cursors, Deadline deadline) override {
    std::vector<Waiting::Place> places;
    places.reserve(cursors.size());
    for (const Cursor& cursor : cursors) {
      DatabaseKeys keys = server_.names().of(cursor.database);
      places.push_back({std::move(keys.base), keys.tag});
    }
    return waiting_.wait(cursors, places, effective(deadline));
  }
  void wake() override { waiting_.wake(); }

 private:
  ReadAnswer read_one(View database, const ReadRequest& request) {
    Server::Got got = server_.get(database, request.gets.front(), effective(request.deadline));
    ReadAnswer answer;
    answer.time_ms = admit_read(database, got.head.head, request);
    answer.at = got.head.head.position();
    answer.floor = got.head.head.floor;
    if (got.entry && !is_live(got.entry->expires_at_ms, answer.time_ms)) got.entry.reset();
    answer.gets.push_back(std::move(got.entry));
    return answer;
  }

  Deadline effective(Deadline deadline) const {
    if (deadline != Deadline{}) return deadline;
    return clock_->steady_now() + std::chrono::milliseconds(limits::kTimeoutMs);
  }

  const std::shared_ptr<Clock> clock_;
  Traits traits_;
  Server server_;
  Committing committing_;
  Waiting waiting_;
};

std::unique_ptr<Backend> open(const Url& url, const Options& options, const Environment& environment) {
  return std::make_unique<RedisBackend>(parse_addresses(url, options), options, environment.completed());
}

BackendFactory factory(const char* scheme) {
  using Kind = OptionSpec::Kind;
  BackendFactory factory;
  factory.scheme = scheme;
  factory.takes_authority = true;
  factory.options = {
      {"prefix", Kind::text, "hf:", "what every key of the store begins with; one server keeps many stores"},
      {"database", Kind::integer, "0", "the number of the server's database", 0, 999'999},
      {"user", Kind::text, "", "where it does not stand before the host"},
      {"password", Kind::text, "", "where it does not stand before the host"},
      {"connections", Kind::integer, "16", "connections at most, one for waiting apart", 1, 10'000},
      {"wait_replicas", Kind::integer, "0", "replicas that must have received a commit before it is answered",
       0, 100},
      {"cluster", Kind::boolean, "false", "whether the hosts are nodes of a cluster"},
      {"tls_authorities", Kind::text, "",
       "file of the authorities that are believed; otherwise the machine's"},
      {"tls_certificate", Kind::text, "", "file of the certificate that this side shows"},
      {"tls_key", Kind::text, "", "file of its key, where tls_certificate does not hold it too"},
      {"tls_verify", Kind::boolean, "true", "whether the server must prove who it is"},
  };
  factory.open = open;
  return factory;
}

}  // namespace
}  // namespace redis

std::vector<BackendFactory> redis_factories() { return {redis::factory("redis"), redis::factory("rediss")}; }

}  // namespace holdfast
