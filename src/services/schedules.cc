// Layout, under <prefix>/, where <time> is 16 hexadecimal digits of Unix milliseconds:
//     by/<name>           the schedule: {"rest_bytes":n,"rest":{...},<body>} (payload_codec.h)
//     at/<time>/<name>    empty: its next tick is then
// A step reads the entry of a schedule, sends the jobs of its ticks and moves it to its next tick, all in one
// commit that is conditional on that entry: of two processes one loses, reads again, and finds nothing to do.
#include "holdfast/schedules.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "contract/validate.h"
#include "holdfast/error.h"
#include "services/cron.h"
#include "services/keys.h"
#include "services/lister.h"
#include "services/payload_codec.h"
#include "services/queue_keys.h"
#include "services/queue_record.h"
#include "services/requirements.h"
#include "services/store_rounds.h"

namespace holdfast {
namespace {

using std::chrono::milliseconds;

/// Of one commit.
constexpr std::size_t kTicks = 100;
constexpr std::size_t kTickBytes = std::size_t{4} << 20;
constexpr std::size_t kSchedulesPerScan = 100;
constexpr milliseconds kLongest = std::chrono::hours(24 * 365 * 10);

/// The ticks of a schedule, one after the other.
class Ticks {
 public:
  /// Throws invalid_argument for what is no rule or no time zone.
  explicit Ticks(const Schedule& schedule) : every_(schedule.every), anchor_ms_(schedule.anchor_ms) {
    if (!every_) {
      rule_ = CronRule::parse(schedule.cron);
      zone_ = load_time_zone(schedule.time_zone);
    }
  }

  std::optional<UnixMs> next_after(UnixMs after_ms) const {
    if (!every_) return rule_->next_after(after_ms, zone_);
    const std::int64_t every_ms = every_->count();
    const std::int64_t since_ms = after_ms - anchor_ms_;
    // Rounded down, also before the anchor.
    const std::int64_t passed = since_ms / every_ms - (since_ms % every_ms < 0 ? 1 : 0);
    return anchor_ms_ + (passed + 1) * every_ms;
  }

  /// The last one from `first_ms`, which is one, to `now_ms`.
  UnixMs last_until(UnixMs first_ms, UnixMs now_ms) const {
    // A schedule that has not run for years need not be gone through from its beginning.
    for (const std::int64_t back_s : {3'600, 86'400, 86'400 * 32, 86'400 * 366}) {
      const UnixMs from_ms = now_ms - back_s * 1'000;
      if (from_ms <= first_ms) break;
      const std::optional<UnixMs> tick = next_after(from_ms);
      if (tick && *tick <= now_ms) return last_from(*tick, now_ms);
    }
    return last_from(first_ms, now_ms);
  }

 private:
  UnixMs last_from(UnixMs tick_ms, UnixMs now_ms) const {
    for (;;) {
      const std::optional<UnixMs> next = next_after(tick_ms);
      if (!next || *next > now_ms) return tick_ms;
      tick_ms = *next;
    }
  }

  std::optional<milliseconds> every_;
  UnixMs anchor_ms_;
  std::optional<CronRule> rule_;
  absl::TimeZone zone_;
};

const char* name_of(MissedRuns missed) {
  switch (missed) {
    case MissedRuns::skip:
      return "skip";
    case MissedRuns::once:
      return "once";
    case MissedRuns::all:
      return "all";
  }
  throw Error(Code::invalid_argument, "a policy for missed runs that there is not");
}

MissedRuns missed_of(View name) {
  for (const MissedRuns missed : {MissedRuns::skip, MissedRuns::once, MissedRuns::all}) {
    if (name == name_of(missed)) return missed;
  }
  throw Error(Code::corruption, "a schedule cannot be read; restore the database from a backup");
}

void validate_schedule_name(View name) {
  if (!name.empty() && name.size() <= limits::kScheduleNameBytes) return;
  throw Error(Code::invalid_argument, "the name of a schedule of " + std::to_string(name.size()) +
                                          " bytes: it has at least 1 and at most " +
                                          std::to_string(limits::kScheduleNameBytes));
}

/// All but its ticks.
void validate(const Schedule& schedule) {
  const auto demand = [](bool holds, const char* what) {
    if (!holds) throw Error(Code::invalid_argument, Bytes("a schedule: ") + what);
  };
  validate_schedule_name(schedule.name);
  validate_options(schedule.options);
  demand(is_utf8(schedule.queue), "the name of its queue is UTF-8");
  demand(!schedule.options.delay && !schedule.options.run_at_ms,
         "its jobs have neither a delay nor an instant: they run at its ticks");
  demand(schedule.every.has_value() == schedule.cron.empty(), "it has a cron expression or an interval");
  demand(!schedule.every || (*schedule.every >= limits::kScheduleInterval && *schedule.every <= kLongest),
         "an interval is 1 s to ten years");
  demand(schedule.anchor_ms >= 0 && schedule.anchor_ms <= limits::kExpiresAtMs,
         "an anchor lies between 1970 and the end of time");
  demand(schedule.grace.count() >= 0 && schedule.grace <= std::chrono::hours(24 * 365),
         "its grace is 0 to a year");
  demand(schedule.body.size_bytes() <= limits::kInlinePayloadBytes, "its body has at most 256 KiB");
  name_of(schedule.missed);
}

bool has_same_ticks(const Schedule& a, const Schedule& b) {
  return a.cron == b.cron && a.every == b.every && a.anchor_ms == b.anchor_ms &&
         (a.every || a.time_zone == b.time_zone);
}

template <class Json, class T>
void set_optional(Json& json, const char* name, const std::optional<T>& value) {
  if (value) json[name] = *value;
}

template <class Json>
void set_optional(Json& json, const char* name, const std::optional<milliseconds>& value) {
  if (value) json[name] = value->count();
}

std::optional<milliseconds> milliseconds_at(const nlohmann::json& json, const char* name) {
  if (!json.contains(name)) return std::nullopt;
  return milliseconds(json.at(name).get<std::int64_t>());
}

Bytes text_of(const ScheduleState& state) {
  const SendOptions& options = state.options;
  nlohmann::ordered_json rest = {{"queue", state.queue},
                                 {"cron", state.cron},
                                 {"time_zone", state.time_zone},
                                 {"anchor_ms", state.anchor_ms},
                                 {"missed", name_of(state.missed)},
                                 {"grace_ms", state.grace.count()},
                                 {"paused", state.is_paused},
                                 {"kind", options.kind},
                                 {"priority", options.priority},
                                 {"ordering_key", options.ordering_key},
                                 {"unique_key", options.unique_key},
                                 {"tenant", options.tenant}};
  set_optional(rest, "every_ms", state.every);
  set_optional(rest, "next_at_ms", state.next_at_ms);
  set_optional(rest, "last_at_ms", state.last_at_ms);
  set_optional(rest, "unique_for_ms", options.unique_for);
  set_optional(rest, "unique_after_completion_ms", options.unique_after_completion);
  set_optional(rest, "unique_after_death_ms", options.unique_after_death);
  const Bytes text = rest.dump();
  Bytes out = "{\"rest_bytes\":" + std::to_string(text.size()) + ",\"rest\":" + text + ',';
  PayloadCodec::append_members({state.body.kind(), state.body.text(), {}, state.body.size_bytes()}, out);
  return out;
}

ScheduleState parse_schedule(View name, View text) {
  ScheduleState state;
  state.name = name;
  try {
    EnvelopeReader reader(text);
    const auto size = static_cast<std::size_t>(reader.literal("{\"rest_bytes\":").number());
    const View rest_text = reader.literal(",\"rest\":").rest().substr(0, size);
    const auto rest = nlohmann::json::parse(rest_text);
    state.body =
        PayloadCodec::of_text(PayloadCodec::parse_members(reader.literal(rest_text).literal(",").rest()));
    state.queue = rest.at("queue");
    state.cron = rest.at("cron");
    state.time_zone = rest.at("time_zone");
    state.anchor_ms = rest.at("anchor_ms");
    state.missed = missed_of(rest.at("missed").get<Bytes>());
    state.grace = milliseconds(rest.at("grace_ms").get<std::int64_t>());
    state.is_paused = rest.at("paused");
    state.every = milliseconds_at(rest, "every_ms");
    if (rest.contains("next_at_ms")) state.next_at_ms = rest.at("next_at_ms").get<UnixMs>();
    if (rest.contains("last_at_ms")) state.last_at_ms = rest.at("last_at_ms").get<UnixMs>();
    SendOptions& options = state.options;
    options.kind = rest.at("kind");
    options.priority = rest.at("priority");
    options.ordering_key = rest.at("ordering_key");
    options.unique_key = rest.at("unique_key");
    options.tenant = rest.at("tenant");
    options.unique_for = milliseconds_at(rest, "unique_for_ms");
    options.unique_after_completion = milliseconds_at(rest, "unique_after_completion_ms");
    options.unique_after_death = milliseconds_at(rest, "unique_after_death_ms");
  } catch (const nlohmann::json::exception&) {
    throw Error(Code::corruption, "a schedule cannot be read; restore the database from a backup");
  }
  return state;
}

}  // namespace

class Schedules::Impl {
 public:
  Impl(Database in, const SchedulesOptions& options)
      : database(std::move(in)), base(options.prefix + '/'), queue_prefix(options.queue_prefix) {
    validate_service_prefix(options.prefix);
    validate_service_prefix(options.queue_prefix);
    require_one_history(database, "schedules");
  }

  Bytes by_name() const { return base + "by/"; }
  Bytes by_time() const { return base + "at/"; }
  Bytes due_key(UnixMs at_ms, View name) const {
    return by_time() + number_segment(static_cast<std::uint64_t>(std::max<UnixMs>(at_ms, 0))) + '/' +
           Bytes(name);
  }
  Queue queue(View name) const { return Queue(database, name, {.prefix = queue_prefix}); }

  std::optional<ScheduleState> find(Transaction& transaction, View name) const {
    const std::optional<Entry> entry = transaction.get(by_name() + Bytes(name));
    if (!entry) return std::nullopt;
    return parse_schedule(name, entry->value);
  }
  /// Puts `state` in the place of `previous`.
  void put(Transaction& transaction, const std::optional<ScheduleState>& previous,
           const ScheduleState& state) const {
    if (previous && previous->next_at_ms) transaction.erase(due_key(*previous->next_at_ms, state.name));
    if (state.next_at_ms) transaction.put(due_key(*state.next_at_ms, state.name), {});
    transaction.put(by_name() + state.name, text_of(state));
  }
  /// Sends the jobs of one schedule that are due, as many as fit a commit and at most `room`: how many, and
  /// whether there is more to do.
  std::pair<std::size_t, bool> step(View name, std::size_t room);
  bool set_paused(View name, bool is_paused);

  Database database;
  const Bytes base;
  const Bytes queue_prefix;
};

std::pair<std::size_t, bool> Schedules::Impl::step(View name, std::size_t room) {
  return database.transact([&](Transaction& transaction) -> std::pair<std::size_t, bool> {
    const std::optional<ScheduleState> previous = find(transaction, name);
    const UnixMs now_ms = transaction.now();
    if (!previous || !previous->next_at_ms || *previous->next_at_ms > now_ms) return {0, false};
    ScheduleState state = *previous;
    const Ticks ticks(state);
    std::vector<UnixMs> to_run;
    if (state.missed == MissedRuns::all) {
      const std::size_t most =
          std::min({room, kTicks, kTickBytes / (static_cast<std::size_t>(state.body.size_bytes()) + 2'000)});
      std::optional<UnixMs> tick = state.next_at_ms;
      for (; tick && *tick <= now_ms && to_run.size() < std::max<std::size_t>(most, 1);
           tick = ticks.next_after(*tick)) {
        to_run.push_back(*tick);
      }
      state.last_at_ms = to_run.back();
    } else {
      state.last_at_ms = ticks.last_until(*state.next_at_ms, now_ms);
      const bool is_late = now_ms - *state.last_at_ms > state.grace.count();
      if (state.missed == MissedRuns::once || !is_late) to_run.push_back(*state.last_at_ms);
    }
    state.next_at_ms = ticks.next_after(*state.last_at_ms);
    std::size_t sent = 0;
    for (const UnixMs tick_ms : to_run) {
      SendOptions options = state.options;
      options.run_at_ms = tick_ms;
      if (queue(state.queue).send(transaction, state.body, options)) ++sent;
    }
    put(transaction, previous, state);
    return {sent, state.next_at_ms && *state.next_at_ms <= now_ms};
  });
}

bool Schedules::Impl::set_paused(View name, bool is_paused) {
  validate_schedule_name(name);
  return database.transact([&](Transaction& transaction) {
    const std::optional<ScheduleState> previous = find(transaction, name);
    if (!previous) return false;
    if (previous->is_paused == is_paused) return true;
    ScheduleState state = *previous;
    state.is_paused = is_paused;
    state.next_at_ms.reset();
    if (!is_paused) state.next_at_ms = Ticks(state).next_after(transaction.now());
    put(transaction, previous, state);
    return true;
  });
}

Schedules::Schedules(Database database, const SchedulesOptions& options)
    : impl_(std::make_shared<Impl>(std::move(database), options)) {}

void Schedules::set(const Schedule& schedule) {
  validate(schedule);
  impl_->queue(schedule.queue);
  const Ticks ticks(schedule);
  impl_->database.transact([&](Transaction& transaction) {
    const std::optional<ScheduleState> previous = impl_->find(transaction, schedule.name);
    ScheduleState state{schedule, previous && previous->is_paused, {}, {}};
    if (previous && has_same_ticks(*previous, schedule)) {
      state.next_at_ms = previous->next_at_ms;
      state.last_at_ms = previous->last_at_ms;
    } else {
      const std::optional<UnixMs> next = ticks.next_after(transaction.now());
      if (!next) throw Error(Code::invalid_argument, "a schedule whose cron expression names no instant");
      if (!state.is_paused) state.next_at_ms = next;
    }
    impl_->put(transaction, previous, state);
  });
}

std::optional<ScheduleState> Schedules::get(View name) const {
  validate_schedule_name(name);
  const std::optional<Entry> entry = impl_->database.get(impl_->by_name() + Bytes(name));
  if (!entry) return std::nullopt;
  return parse_schedule(name, entry->value);
}

Listing<ScheduleState> Schedules::list(const ListOptions& options) const {
  Listing<ScheduleState> listing;
  listing.cursor =
      list_entries(impl_->database, impl_->by_name(), options, [&](View name, Entry& entry) -> std::size_t {
        listing.items.push_back(parse_schedule(name, entry.value));
        return entry.value.size();
      });
  return listing;
}

bool Schedules::erase(View name) {
  validate_schedule_name(name);
  return impl_->database.transact([&](Transaction& transaction) {
    const std::optional<ScheduleState> state = impl_->find(transaction, name);
    if (!state) return false;
    if (state->next_at_ms) transaction.erase(impl_->due_key(*state->next_at_ms, name));
    transaction.erase(impl_->by_name() + Bytes(name));
    return true;
  });
}

bool Schedules::pause(View name) { return impl_->set_paused(name, true); }
bool Schedules::resume(View name) { return impl_->set_paused(name, false); }

ScheduleRun Schedules::run_due(std::size_t limit) {
  const UnixMs now_ms = impl_->database.transact([](Transaction& transaction) { return transaction.now(); });
  const Bytes by_time = impl_->by_time();
  ScheduleRun run;
  std::exception_ptr error;
  Range due = QueueKeys::due(by_time, now_ms);
  for (bool is_more = true; is_more && run.sent < limit;) {
    const Page page = impl_->database.scan(due, {.limit = kSchedulesPerScan, .keys_only = true});
    for (const Entry& entry : page.entries) {
      const View name = View(entry.key).substr(by_time.size() + 17);
      try {
        for (bool is_due = true; is_due && run.sent < limit;) {
          const auto [sent, is_still_due] = impl_->step(name, limit - run.sent);
          run.sent += sent;
          is_due = is_still_due;
        }
      } catch (const Error&) {
        if (!error) error = std::current_exception();
      }
      due.begin = entry.key + '\0';
    }
    is_more = page.more;
  }
  if (error) std::rethrow_exception(error);
  const Page next = impl_->database.scan(Range::prefix(by_time), {.limit = 1, .keys_only = true});
  if (!next.entries.empty()) {
    run.next_due_ms =
        static_cast<UnixMs>(segment_number(View(next.entries.front().key).substr(by_time.size(), 16)));
  }
  return run;
}

std::vector<UnixMs> Schedules::ticks(const Schedule& schedule, UnixMs after_ms, std::size_t count) {
  validate(schedule);
  const Ticks ticks(schedule);
  std::vector<UnixMs> found;
  for (std::optional<UnixMs> tick = ticks.next_after(after_ms); tick && found.size() < count;
       tick = ticks.next_after(*tick)) {
    found.push_back(*tick);
  }
  return found;
}

ScheduleRunner::ScheduleRunner(std::shared_ptr<Store> store, ScheduleRunnerOptions options) {
  if (options.interval.count() < 1) {
    throw Error(Code::invalid_argument, "the interval of a runner of schedules is at least 1 ms");
  }
  validate_service_prefix(options.schedules.prefix);
  validate_service_prefix(options.schedules.queue_prefix);
  StoreRounds::Options rounds;
  rounds.interval = options.interval;
  rounds.clock = options.clock ? std::move(options.clock) : system_clock();
  rounds.on_error = std::move(options.on_error);
  rounds.visit = [store, prefixes = std::move(options.schedules)](const Bytes& database,
                                                                  const std::stop_token& stop) {
    Schedules schedules(store->database(database), prefixes);
    constexpr std::size_t kJobsPerStep = 100;
    while (!stop.stop_requested()) {
      if (schedules.run_due(kJobsPerStep).sent < kJobsPerStep) return;
    }
  };
  rounds_ = std::make_unique<StoreRounds>(store, std::move(rounds));
}

ScheduleRunner::~ScheduleRunner() = default;

}  // namespace holdfast
