// The change log is read by keys alone, and values of what somebody listens to are got afterwards: so one
// page has the changes of all services in the order of their commits.
#include "holdfast/lifecycle.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <thread>
#include <tuple>

#include "holdfast/error.h"
#include "services/base64.h"
#include "services/keys.h"
#include "services/lifecycle_sources.h"

namespace holdfast {
namespace {

constexpr std::size_t kChangesPerPage = 1'000;
/// Values that are held at once.
constexpr std::size_t kEntriesPerRead = 32;

bool matches(View pattern, View type) {
  if (pattern.ends_with('*')) return type.starts_with(pattern.substr(0, pattern.size() - 1));
  return pattern == type;
}

/// Behind the change of `key` in the commit `seq` of a history.
struct SubscriptionPlace {
  std::uint64_t history = 0;
  Seq seq = 0;
  Bytes key;

  Bytes token() const { return number_segment(history) + "-" + number_segment(seq) + "-" + to_base64(key); }
  static SubscriptionPlace parse(View token);
};

constexpr std::size_t kNumberDigits = 16;

SubscriptionPlace SubscriptionPlace::parse(View token) {
  const auto is_number = [](View digits) {
    return digits.size() == kNumberDigits && digits.find_first_not_of("0123456789abcdef") == View::npos;
  };
  const View history = token.substr(0, kNumberDigits);
  const View seq = token.substr(std::min(kNumberDigits + 1, token.size()), kNumberDigits);
  const View key = token.substr(std::min(2 * kNumberDigits + 2, token.size()));
  const std::optional<Bytes> bytes = from_base64(key);
  const bool is_token = is_number(history) && is_number(seq) && bytes && segment_number(seq) > 0 &&
                        token == Bytes(history) + "-" + Bytes(seq) + "-" + Bytes(key);
  if (is_token) return {segment_number(history), segment_number(seq), *bytes};
  throw Error(Code::invalid_argument, "what a Lifecycle is to begin behind is no token of a lifecycle event");
}

void validate_pattern(View pattern) {
  Bytes known;
  for (const View type : lifecycle_types()) {
    const Bytes service = Bytes(type.substr(0, type.find(':') + 1)) + "*";
    if (pattern == type || pattern == service || pattern == "*") return;
    known.append(", \"").append(type).append("\"");
  }
  throw Error(Code::invalid_argument, "\"" + Bytes(pattern.substr(0, 100)) +
                                          "\" is no lifecycle event; there are \"*\", \"kv:*\"" + known);
}

}  // namespace

/// The handlers.
class LifecycleSubscription::Hub {
 public:
  explicit Hub(std::function<void(const std::exception&, bool)> on_error) : on_error_(std::move(on_error)) {}

  std::uint64_t add(View pattern, LifecycleHandler handler) {
    const std::scoped_lock lock(mutex_);
    handlers_.emplace(++newest_,
                      std::make_shared<const Handler>(Handler{Bytes(pattern), std::move(handler)}));
    return newest_;
  }

  void remove(std::uint64_t id) {
    std::unique_lock lock(mutex_);
    handlers_.erase(id);
    if (running_on_ == std::this_thread::get_id()) return;
    ended_.wait(lock, [&] { return running_ != id; });
  }

  /// Whether somebody listens to anything of a service.
  bool wants(View service) {
    const std::scoped_lock lock(mutex_);
    return std::ranges::any_of(handlers_, [&](const auto& item) {
      const View pattern = item.second->pattern;
      return pattern == "*" || pattern.substr(0, pattern.find(':')) == service;
    });
  }

  void tell(const LifecycleEvent& event) {
    std::unique_lock lock(mutex_);
    running_on_ = std::this_thread::get_id();
    // Those that come while this is told were not there when it happened.
    const std::uint64_t newest = newest_;
    auto at = handlers_.begin();
    while (at != handlers_.end() && at->first <= newest) {
      running_ = at->first;
      const std::shared_ptr<const Handler> handler = at->second;
      if (matches(handler->pattern, event.type)) {
        lock.unlock();
        call(*handler, event);
        lock.lock();
      }
      at = handlers_.upper_bound(running_);
      running_ = 0;
      ended_.notify_all();
    }
    running_on_ = {};
  }

  void report(const std::exception& error, bool is_last) {
    if (!on_error_) return;
    try {
      on_error_(error, is_last);
    } catch (...) {
    }
  }

 private:
  struct Handler {
    Bytes pattern;
    LifecycleHandler handle;
  };

  void call(const Handler& handler, const LifecycleEvent& event) {
    try {
      handler.handle(event);
    } catch (const std::exception& error) {
      report(error, false);
    } catch (...) {
      report(Error(Code::internal, "a handler of lifecycle events threw what is no std::exception"), false);
    }
  }

  const std::function<void(const std::exception&, bool)> on_error_;
  std::mutex mutex_;
  std::condition_variable ended_;
  std::map<std::uint64_t, std::shared_ptr<const Handler>> handlers_;
  std::uint64_t newest_ = 0;
  std::uint64_t running_ = 0;  ///< the handler that is called now
  std::thread::id running_on_;
};

/// Follows the change log and tells the hub.
class Lifecycle::Follower {
 public:
  Follower(Database database, std::vector<LifecycleSource> sources, const Bytes& after,
           LifecycleSubscription::Hub& hub)
      : database_(std::move(database)),
        sources_(std::move(sources)),
        hub_(hub),
        is_behind_(!after.empty()),
        since_(database_.position()),
        watch_(database_.watch(Range::all(), since_)) {
    const SubscriptionPlace begin = after.empty() ? SubscriptionPlace{since_.history, since_.seq + 1, {}}
                                                  : SubscriptionPlace::parse(after);
    token_ = begin.token();
    since_ = {begin.history, begin.seq - 1};
    told_through_ = {begin.seq, begin.key};
  }

  ~Follower() {
    is_stopped_ = true;
    watch_.cancel();
    if (thread_.joinable()) thread_.join();
  }
  Follower(const Follower&) = delete;
  Follower& operator=(const Follower&) = delete;

  const Bytes& token() const { return token_; }
  /// Called when there is a handler. Idempotent.
  void start() {
    std::call_once(started_, [this] { thread_ = std::thread([this] { run(); }); });
  }

 private:
  void run() {
    for (bool is_due = is_behind_; !is_stopped_; is_due = false) {
      try {
        if (!is_due) is_behind_ |= watch_.next({}).has_value();
      } catch (const Error& error) {
        hub_.report(error, true);
        return;
      }
      try {
        if (is_behind_) follow();
      } catch (const Error& error) {
        recover(error);
      }
    }
  }

  /// After what the database throws: the next look is due with the next commit, or when a watch has waited
  /// for long enough.
  void recover(const Error& error) {
    if (error.code() == Code::history_changed || error.code() == Code::compacted) {
      try {
        since_ = database_.position();
        told_through_ = {0, {}};
        erased_.clear();
      } catch (const Error&) {
        // The next look fails in the same way.
      }
    }
    hub_.report(error, false);
  }

  void follow() {
    // Before its first commit a database has no history yet.
    if (since_.history == 0) since_.history = database_.position().history;
    if (since_.history == 0) return;
    for (bool is_more = true; is_more;) {
      const Changes changes = database_.changes(since_, Range::all(), kChangesPerPage, true);
      const std::vector<Item> items = items_of(changes);
      for (std::size_t begin = 0; begin < items.size(); begin += kEntriesPerRead) {
        tell_part(std::span(items).subspan(begin, std::min(kEntriesPerRead, items.size() - begin)));
        if (is_stopped_) return;
      }
      tell_pruned();
      since_ = changes.through;
      is_more = !changes.caught_up();
    }
    erased_.clear();
    is_behind_ = false;
  }

  struct Item {
    const Change* change;
    const LifecycleSource* source;
  };

  /// What somebody listens to and was not told yet. A key that is erased may be listed at older commits too:
  /// its last one counts.
  std::vector<Item> items_of(const Changes& changes) {
    std::vector<const LifecycleSource*> wanted;
    for (const LifecycleSource& source : sources_) {
      if (hub_.wants(source.service)) wanted.push_back(&source);
    }
    std::vector<Item> items;
    std::set<View> seen;
    for (auto change = changes.items.rbegin(); change != changes.items.rend(); ++change) {
      if (std::tie(change->version, change->key) <= told_through_) break;
      const auto source = std::ranges::find_if(
          wanted, [&](const LifecycleSource* each) { return change->key.starts_with(each->keys); });
      if (source != wanted.end() && seen.insert(change->key).second) items.push_back({&*change, *source});
    }
    std::ranges::reverse(items);
    return items;
  }

  void tell_part(std::span<const Item> items) {
    std::vector<Bytes> keys;
    for (const Item& item : items) {
      if (!item.change->erased) keys.push_back(item.change->key);
    }
    std::vector<std::optional<Entry>> entries;
    if (!keys.empty()) entries = database_.get(keys);
    std::size_t next = 0;
    for (const Item& item : items) {
      if (is_stopped_) return;
      const std::optional<Entry> entry = item.change->erased ? std::nullopt : std::move(entries[next++]);
      std::optional<LifecycleEvent> event = event_of(item, entry);
      told_through_ = {item.change->version, item.change->key};
      if (!event) continue;
      event->prefix = item.source->prefix;
      event->seq = item.change->version;
      event->token = SubscriptionPlace{since_.history, item.change->version, item.change->key}.token();
      tell(std::move(*event));
    }
  }

  std::optional<LifecycleEvent> event_of(const Item& item, const std::optional<Entry>& entry) {
    const Change& change = *item.change;
    if (change.erased) {
      // A page before may have had it already.
      if (!erased_.insert(change.key).second) return std::nullopt;
    } else {
      erased_.erase(change.key);
      // It was changed again, or is gone: that is told at the later change.
      if (!entry || entry->version != change.version) return std::nullopt;
    }
    try {
      const View key = View(change.key).substr(item.source->keys.size());
      return item.source->tell(database_, {key, entry ? &*entry : nullptr});
    } catch (const Error& error) {
      if (error.code() != Code::corruption) throw;
      hub_.report(error, false);
      return std::nullopt;
    }
  }

  /// Each event that a prune removes is a change of its own: they are counted as long as they follow each
  /// other.
  void tell(LifecycleEvent event) {
    const bool is_same = pruned_ && event.type == pruned_->type && event.stream == pruned_->stream &&
                         event.prefix == pruned_->prefix && event.seq == pruned_->seq;
    if (is_same) {
      pruned_->count += event.count;
      pruned_->token = std::move(event.token);
      return;
    }
    tell_pruned();
    if (event.type == "event:prune") {
      pruned_ = std::move(event);
    } else {
      hub_.tell(event);
    }
  }

  void tell_pruned() {
    if (pruned_) hub_.tell(*pruned_);
    pruned_.reset();
  }

  Database database_;
  const std::vector<LifecycleSource> sources_;
  LifecycleSubscription::Hub& hub_;
  std::atomic<bool> is_stopped_{false};
  /// Whether there may be changes that were not told.
  bool is_behind_;
  Position since_;
  Bytes token_;
  /// The change that was told last, where reading failed in the middle of a page.
  std::tuple<Seq, Bytes> told_through_{0, {}};
  /// Keys whose deletion was told since the present was last reached.
  std::set<Bytes> erased_;
  std::optional<LifecycleEvent> pruned_;
  Watch watch_;
  std::once_flag started_;
  std::thread thread_;
};

Lifecycle::Lifecycle(Database database, LifecycleOptions options)
    : hub_(std::make_shared<LifecycleSubscription::Hub>(std::move(options.on_error))),
      follower_(std::make_unique<Follower>(std::move(database), lifecycle_sources(options), options.after,
                                           *hub_)) {}

Lifecycle::~Lifecycle() = default;

LifecycleSubscription Lifecycle::on(View pattern, LifecycleHandler handler) {
  validate_pattern(pattern);
  LifecycleSubscription subscription(hub_, hub_->add(pattern, std::move(handler)));
  follower_->start();
  return subscription;
}

const Bytes& Lifecycle::token() const { return follower_->token(); }

LifecycleSubscription::LifecycleSubscription(std::shared_ptr<Hub> hub, std::uint64_t id)
    : hub_(std::move(hub)), id_(id) {}

LifecycleSubscription::~LifecycleSubscription() { remove(); }

LifecycleSubscription::LifecycleSubscription(LifecycleSubscription&& other) noexcept
    : hub_(std::move(other.hub_)), id_(other.id_) {}

LifecycleSubscription& LifecycleSubscription::operator=(LifecycleSubscription&& other) noexcept {
  if (this == &other) return *this;
  remove();
  hub_ = std::move(other.hub_);
  id_ = other.id_;
  return *this;
}

void LifecycleSubscription::remove() {
  if (!hub_) return;
  hub_->remove(id_);
  hub_.reset();
}

}  // namespace holdfast
