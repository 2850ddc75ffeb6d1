#include "differential/program.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "contract/validate.h"

namespace holdfast::differential {
namespace {

using Kind = Step::Kind;
constexpr std::uint64_t kToken = 7;
constexpr UnixMs kStartMs = 1'700'000'000'000;

class Generator {
 public:
  explicit Generator(std::uint64_t seed) : random_(seeded_random(seed)) {}

  std::size_t below(std::size_t bound) { return random_->next() % bound; }
  bool one_in(std::size_t n) { return below(n) == 0; }

  Bytes key() {
    static const std::vector<Bytes> kKeys = {
        "a",  Bytes("a\0", 2), "a/",      "a/1",  "a/2",          "a-",           "ab",
        "b",  "b/1",           "b/2",     "\x7F", "\x80",         "\xFF",         "\xFF\xFF",
        "q/", "q/0",           "!engine", "z",    Bytes(1, '\0'), Bytes(700, 'k')};
    return kKeys[below(kKeys.size())];
  }

  Bytes value() {
    switch (below(12)) {
      case 0:
        return {};
      case 1:
        return "\"true\"";
      case 2:
        return Bytes("\0\xFF\xC3(", 4);
      case 3:
        return Bytes(1'500 + below(3'000), static_cast<char>('A' + below(26)));
      case 4:
        return one_in(8) ? Bytes(200'000, 'L') : Bytes(1'024, 'e');
      default:
        return "v" + std::to_string(below(1'000));
    }
  }

  std::optional<UnixMs> expiry() {
    if (!one_in(4)) return std::nullopt;
    return kStartMs + static_cast<UnixMs>(below(400)) * 10;
  }

  Range range() {
    switch (below(5)) {
      case 0:
        return Range::all();
      case 1:
        return Range::prefix(key());
      case 2:
        return {key(), {}};
      default:
        return {key(), key()};
    }
  }

  Check check() {
    switch (below(4)) {
      case 0:
        return Check::absent(key());
      case 1:
        return Check::unchanged(range(), below(3), kStartMs);  // the seq becomes a lag behind the head
      default:
        return Check::has_version(key(), one_in(6) ? 999 : 0);
    }
  }

  Write write() {
    switch (below(10)) {
      case 0:
      case 1:
        return Write::erase(key());
      case 2:
        return Write::reap(key());
      case 3:
        return Write::put_stamped(one_in(2) ? "q/" : "a", one_in(2) ? "" : "-x", value(), expiry());
      default:
        return Write::put(key(), value(), expiry());
    }
  }

  Batch batch() {
    Batch batch;
    for (std::size_t i = below(3); i > 0; --i) batch.checks.push_back(check());
    std::set<Bytes> written;
    for (std::size_t i = 1 + below(5); i > 0; --i) {
      Write next = write();
      const bool stamped = next.kind == Write::Kind::put_stamped;
      if (written.insert(stamped ? next.key + "#" + next.suffix : next.key).second) {
        batch.writes.push_back(std::move(next));
      }
    }
    return batch;
  }

  Step step() {
    Step step;
    step.database = one_in(4) ? 1 + below(2) : 0;
    step.session = below(3);
    step.with_token = one_in(3);
    step.guess_history = one_in(40);
    const std::size_t pick = below(100);
    if (pick < 50) {
      step.kind = Kind::commit;
      fill_group(step);
    } else if (pick < 54) {
      step.kind = Kind::retry;
    } else if (pick < 56) {
      step.kind = Kind::stale_group;
      step.batches.push_back(batch());
    } else if (pick < 74) {
      step.kind = Kind::read;
      for (std::size_t i = below(4); i > 0; --i) step.gets.push_back(key());
      for (std::size_t i = below(3); i > 0; --i) {
        step.scans.push_back(
            {range(), {.limit = 1 + below(8), .reverse = one_in(2), .keys_only = one_in(3)}});
      }
      for (std::size_t i = below(3); i > 0; --i) step.checks.push_back(check());
    } else if (pick < 82) {
      step.kind = Kind::changes;
      step.lag = below(30);
      step.limit = 1 + below(12);
      step.scans.push_back({range(), {.limit = 1, .keys_only = one_in(3)}});
    } else if (pick < 84) {
      step.kind = Kind::compact;
      step.lag = below(25);
    } else if (pick < 85) {
      step.kind = Kind::drop;
    } else if (pick < 88) {
      step.kind = Kind::fence;
      step.fence = static_cast<Fence::State>(below(4));
    } else if (pick < 90) {
      step.kind = Kind::databases;
      step.limit = 1 + below(4);
    } else if (pick < 94) {
      step.kind = Kind::expired;
    } else {
      step.kind = Kind::clock;
      step.clock_by_ms = one_in(12) ? -70'000 : one_in(4) ? -50 : static_cast<std::int64_t>(below(300));
    }
    return step;
  }

 private:
  /// Batches that obey the rule that the engine keeps (§3.3), by their being about disjoint keys.
  void fill_group(Step& step) {
    step.batches.push_back(batch());
    if (!one_in(3)) return;
    std::set<Bytes> used;
    std::vector<Batch> group;
    for (std::size_t i = 1 + below(4); i > 0; --i) {
      Batch next;
      for (std::size_t n = 1 + below(3); n > 0; --n) {
        const Bytes at = key();
        if (at.size() < 3 && at[0] == 'a') continue;
        if (used.insert(at).second) {
          if (one_in(2)) next.checks.push_back(one_in(2) ? Check::absent(at) : Check::has_version(at, 0));
          next.writes.push_back(one_in(4) ? Write::erase(at) : Write::put(at, value(), expiry()));
        }
      }
      next.writes.push_back(Write::put_stamped("stamped/", "-" + std::to_string(i), value()));
      group.push_back(std::move(next));
    }
    step.batches = std::move(group);
  }

  std::shared_ptr<Random> random_;
};

std::string text(const Bytes& bytes) {
  if (bytes.size() > 40) return bytes.substr(0, 3) + "..." + std::to_string(bytes.size());
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7F) {
      out += c;
    } else {
      out += "\\x";
      out += kDigits[byte >> 4];
      out += kDigits[byte & 15];
    }
  }
  return out;
}

std::string text(const Entry& entry) {
  return text(entry.key) + "=" + text(entry.value) + "@" + std::to_string(entry.version) +
         (entry.expires_at_ms ? "!" + std::to_string(*entry.expires_at_ms - kStartMs) : "");
}

/// One run: what the program has seen, and the answers as text.
class Run {
 public:
  explicit Run(Backend& backend) : backend_(backend) {}

  std::string execute(const Step& step) {
    try {
      switch (step.kind) {
        case Kind::commit:
          return commit(step);
        case Kind::retry:
          return retry(step);
        case Kind::stale_group:
          return stale(step);
        case Kind::read:
          return read(step);
        case Kind::changes:
          return changes(step);
        case Kind::compact:
          return compact(step);
        case Kind::drop:
          return drop(step);
        case Kind::fence:
          return fence(step);
        case Kind::databases:
          return databases(step);
        case Kind::expired:
          return expired();
        case Kind::clock:
          now_ms_ += step.clock_by_ms;
          return "clock";
      }
      return {};
    } catch (const Error& error) {
      return failure(step, error);
    }
  }

 private:
  struct Seen {
    Position at;
    std::map<Bytes, Seq> versions;
    Fence fence;
  };
  struct Sent {
    std::uint64_t number = 0;
    std::optional<Group> last;
  };

  Bytes name(const Step& step) const { return kDatabases[step.database]; }
  Seen& seen(const Step& step) { return seen_[step.database]; }
  Sent& sent(const Step& step) { return sent_[{step.database, step.session}]; }
  static Deadline deadline() { return std::chrono::steady_clock::now() + std::chrono::seconds(60); }

  /// Histories are random: call them by the order in which this run met them.
  std::string history(std::uint64_t history) {
    if (history == 0) return "h0";
    const auto [at, is_new] = histories_.try_emplace(history, histories_.size() + 1);
    return "h" + std::to_string(at->second);
  }
  std::string position(Position at) { return history(at.history) + ":" + std::to_string(at.seq); }

  std::string failure(const Step& step, const Error& error) {
    if (error.code() == Code::history_changed) seen(step).at = error.at();
    std::string out = holdfast::name(error.code());
    if (error.code() == Code::history_changed) out += " " + position(error.at());
    if (error.code() == Code::moved) out += " " + error.place();
    return out;
  }

  void resolve(const Step& step, std::vector<Check>& checks) {
    Seen& known = seen(step);
    for (Check& check : checks) {
      if (check.kind == Check::Kind::version && check.version == 0) {
        const auto found = known.versions.find(check.key);
        check.version = found == known.versions.end() ? 1 : found->second;
      } else if (check.kind == Check::Kind::unchanged) {
        check.version = known.at.seq - std::min(known.at.seq, check.version);
        check.read_time_ms = now_ms_ - 20;
      }
    }
  }

  Group group(const Step& step) {
    Group group;
    group.database = name(step);
    group.history = step.guess_history ? 12'345 : seen(step).at.history;
    group.session = {1'000 + step.database, step.session};
    group.now_ms = now_ms_;
    group.token = step.with_token ? kToken : 0;
    group.deadline = deadline();
    group.batches = step.batches;
    for (Batch& batch : group.batches) resolve(step, batch.checks);
    if (seen(step).fence.state == Fence::State::importing) make_import(step, group);
    group.content_hash = content_hash(group.batches);
    return group;
  }

  /// While importing, entries come with their versions and there are no checks.
  void make_import(const Step& step, Group& group) {
    for (Batch& batch : group.batches) {
      if (!step.guess_history) batch.checks.clear();
      std::erase_if(batch.writes, [](const Write& write) {
        return write.kind != Write::Kind::put && write.kind != Write::Kind::erase;
      });
      if (batch.writes.empty()) batch.writes.push_back(Write::put("imported", "value"));
      for (Write& write : batch.writes) {
        if (write.kind == Write::Kind::put) write.version = 1 + write.key.size() % 50;
      }
    }
    if (!step.guess_history) group.history = 0;
  }

  std::string answer(const Step& step, Group& group) {
    if (group.error) return failure(step, *group.error);
    std::string out = "at " + position(group.at);
    for (const Outcome& outcome : group.outcomes) {
      out += outcome.committed() ? " #" + std::to_string(outcome.seq)
                                 : " !" + std::to_string(*outcome.failed_check);
    }
    seen(step).at = group.at;
    return out;
  }

  std::string commit(const Step& step) {
    Group sending = group(step);
    sending.number = ++sent(step).number;
    sent(step).last = sending;
    backend_.commit({&sending, 1});
    return answer(step, sending);
  }

  std::string retry(const Step& step) {
    if (!sent(step).last) return "nothing to retry";
    Group sending = *sent(step).last;
    sending.retry = true;
    sending.now_ms = now_ms_;
    backend_.commit({&sending, 1});
    return answer(step, sending);
  }

  std::string stale(const Step& step) {
    if (!sent(step).last) return "nothing sent";
    Group sending = group(step);
    sending.number = std::max<std::uint64_t>(1, sent(step).number);
    // Whether it is refused or applied depends on whether the last group was recorded.
    sent(step).last = sending;
    backend_.commit({&sending, 1});
    return answer(step, sending);
  }

  std::string read(const Step& step) {
    const std::vector<View> gets(step.gets.begin(), step.gets.end());
    std::vector<Check> checks = step.checks;
    resolve(step, checks);
    ReadRequest request;
    request.gets = gets;
    request.scans = step.scans;
    request.checks = checks;
    request.now_ms = now_ms_;
    request.history = step.guess_history ? 54'321 : 0;
    request.token = step.with_token ? kToken : 0;
    request.deadline = deadline();
    const ReadAnswer answer = backend_.read(name(step), request);
    seen(step).at = answer.at;
    std::string out = position(answer.at) + " t" + std::to_string(answer.time_ms - kStartMs) + " floor " +
                      std::to_string(answer.floor);
    if (answer.failed_check) out += " !" + std::to_string(*answer.failed_check);
    for (const auto& entry : answer.gets) {
      out += entry ? " [" + text(*entry) + "]" : " []";
      if (entry) seen(step).versions[entry->key] = entry->version;
    }
    for (const Page& page : answer.pages) {
      out += " {";
      for (const Entry& entry : page.entries) {
        out += text(entry) + " ";
        seen(step).versions[entry.key] = entry.version;
      }
      out += page.more ? "...}" : "}";
      if (!(page.at == answer.at)) out += " page is of another position";
    }
    return out;
  }

  /// Pages may be cut differently; what a copy looks like after all of them may not.
  std::string changes(const Step& step) {
    ChangesRequest request;
    request.since = seen(step).at;
    request.since.seq -= std::min(request.since.seq, step.lag);
    request.range = step.scans.front().range;
    request.limit = step.limit;
    request.keys_only = step.scans.front().options.keys_only;
    request.token = step.with_token ? kToken : 0;
    request.deadline = deadline();
    std::map<Bytes, std::string> copy;
    std::string flaws;
    for (;;) {
      const Changes page = backend_.changes(name(step), request);
      std::pair<Seq, Bytes> former{request.since.seq, "\xFF"};
      for (const Change& change : page.items) {
        const std::pair<Seq, Bytes> here{change.version, change.key};
        if (here.first <= request.since.seq || here.first > page.through.seq) flaws += " outside";
        if (here <= former && former.first != request.since.seq) flaws += " unordered";
        former = here;
        copy[change.key] = change.erased              ? "erased"
                           : request.keys_only        ? "@" + std::to_string(change.version)
                           : change.entry.has_value() ? text(*change.entry)
                                                      : "entry missing";
      }
      if (page.through.seq < request.since.seq) flaws += " backwards";
      if (page.caught_up()) {
        std::string out = "through " + position(page.through) + flaws;
        for (const auto& [key, what] : copy) out += " " + text(key) + ":" + what;
        return out;
      }
      if (page.through.seq == request.since.seq) return "stuck at " + position(page.through);
      request.since = page.through;
    }
  }

  std::string compact(const Step& step) {
    const Seq seq = seen(step).at.seq;
    backend_.compact(name(step), seq - std::min(seq, step.lag), deadline());
    return "compacted";
  }

  std::string drop(const Step& step) {
    const std::uint64_t history = step.guess_history ? 999 : seen(step).at.history;
    const bool dropped = backend_.drop(name(step), history, deadline());
    if (dropped) seen(step) = {};
    return dropped ? "dropped" : "not dropped";
  }

  std::string fence(const Step& step) {
    Fence next;
    next.state = step.fence;
    if (next.state != Fence::State::open) next.token = kToken;
    if (next.state == Fence::State::moved) next.place = "elsewhere";
    Fence& known = seen(step).fence;
    // Nothing leads back from moved; a database that is done with makes room for a new one.
    if (known.state == Fence::State::moved) return drop(step);
    const bool opens_import = known.state == Fence::State::importing && next.state == Fence::State::open;
    if (opens_import) {
      // The same history for every backend: it is given, not drawn.
      next.at = {9'000'000 + histories_.size(), 60};
      next.time_ms = now_ms_;
    }
    const bool done = backend_.fence(name(step), known, next, deadline());
    if (done) known = opens_import ? Fence{} : next;
    return done ? "fenced" : "not fenced";
  }

  std::string databases(const Step& step) {
    std::string out = "databases";
    Bytes after;
    for (;;) {
      const std::vector<Bytes> names = backend_.databases({}, after, step.limit, deadline());
      if (names.empty()) return out;
      for (const Bytes& each : names) out += " " + text(each);
      after = names.back();
    }
  }

  /// A clock that was set back far is set right again by the next step, or nothing else would be tried.
  std::string clock(const Step& step) {
    now_ms_ = std::max(now_ms_ + step.clock_by_ms, step.clock_by_ms > 0 ? latest_ms_ : now_ms_ - 70'000);
    latest_ms_ = std::max(latest_ms_, now_ms_);
    return "clock";
  }

  std::string expired() {
    const ExpiredAnswer answer = backend_.expired(now_ms_, 10'000, deadline());
    std::set<std::string> items;
    for (const Expired& item : answer.items) {
      items.insert(std::to_string(item.expires_at_ms - kStartMs) + " " + text(item.database) + " " +
                   text(item.key));
    }
    std::string out = "expired";
    for (const std::string& item : items) out += " (" + item + ")";
    return out;
  }

  Backend& backend_;
  UnixMs now_ms_ = kStartMs;
  UnixMs latest_ms_ = kStartMs;
  std::map<std::size_t, Seen> seen_;
  std::map<std::pair<std::size_t, std::size_t>, Sent> sent_;
  std::map<std::uint64_t, std::size_t> histories_;
};

}  // namespace

std::vector<Step> random_program(std::uint64_t seed, std::size_t steps) {
  Generator generator(seed);
  std::vector<Step> program;
  program.reserve(steps);
  for (std::size_t i = 0; i < steps; ++i) program.push_back(generator.step());
  return program;
}

std::vector<std::string> run(const std::vector<Step>& program, Backend& backend) {
  Run run(backend);
  std::vector<std::string> transcript;
  transcript.reserve(program.size());
  for (const Step& step : program) transcript.push_back(run.execute(step));
  return transcript;
}

std::vector<Step> shrink(std::vector<Step> program,
                         const std::function<bool(const std::vector<Step>&)>& fails) {
  for (std::size_t chunk = program.size() / 2; chunk > 0; chunk /= 2) {
    for (std::size_t from = 0; from + chunk <= program.size();) {
      std::vector<Step> shorter = program;
      shorter.erase(shorter.begin() + static_cast<std::ptrdiff_t>(from),
                    shorter.begin() + static_cast<std::ptrdiff_t>(from + chunk));
      if (fails(shorter)) {
        program = std::move(shorter);
      } else {
        from += chunk;
      }
    }
  }
  return program;
}

std::string describe(const Step& step) {
  static constexpr std::array kNames = {"commit", "retry", "stale_group", "read",    "changes", "compact",
                                        "drop",   "fence", "databases",   "expired", "clock"};
  static constexpr std::array kChecks = {"absent", "version", "unchanged"};
  static constexpr std::array kWrites = {"put", "put_stamped", "erase", "reap"};
  std::string out = kNames[static_cast<std::size_t>(step.kind)];
  out += " db" + std::to_string(step.database) + " s" + std::to_string(step.session);
  if (step.with_token) out += " token";
  if (step.guess_history) out += " wrong-history";
  const auto add_checks = [&](const std::vector<Check>& checks) {
    for (const Check& check : checks) {
      out += std::string(" ?") + kChecks[static_cast<std::size_t>(check.kind)] + "(" + text(check.key);
      if (check.kind == Check::Kind::unchanged) out += ".." + text(check.end);
      out += " " + std::to_string(check.version) + ")";
    }
  };
  for (const Batch& batch : step.batches) {
    out += " <";
    add_checks(batch.checks);
    for (const Write& write : batch.writes) {
      out += std::string(" ") + kWrites[static_cast<std::size_t>(write.kind)] + "(" + text(write.key) +
             write.suffix;
      if (write.expires_at_ms) out += " !" + std::to_string(*write.expires_at_ms - kStartMs);
      out += ")";
    }
    out += ">";
  }
  for (const Bytes& key : step.gets) out += " get(" + text(key) + ")";
  for (const Scan& scan : step.scans) {
    out += std::string(scan.options.reverse ? " reverse" : "") + " scan[" + text(scan.range.begin) + ".." +
           text(scan.range.end) + " " + std::to_string(scan.options.limit) + ")";
  }
  add_checks(step.checks);
  if (step.kind == Kind::fence) out += " state " + std::to_string(static_cast<int>(step.fence));
  if (step.kind == Kind::clock) out += " " + std::to_string(step.clock_by_ms);
  if (step.lag != 0) out += " lag " + std::to_string(step.lag);
  return out;
}

}  // namespace holdfast::differential
