// How a stream is followed: what is there is read in pages; when a page was the last one, a watch that began
// before the first page tells when to read again. Ids rise with the commits, so nothing can appear in front
// of what was read, and what is read behind it was not read before.
#include <atomic>
#include <deque>

#include "holdfast/error.h"
#include "holdfast/events.h"
#include "services/events_keys.h"

namespace holdfast {
namespace {

constexpr std::size_t kPageEvents = 100;

}  // namespace

class EventSubscription::Impl {
 public:
  Impl(Database database, Bytes log, View after, Position since)
      : database_(std::move(database)),
        log_(std::move(log)),
        position_(after),
        history_(since.history),
        watch_(database_.watch(Range::prefix(log_), since)) {}

  std::optional<Event> next(Deadline deadline) {
    while (!is_cancelled_) {
      while (!ahead_.empty()) {
        std::optional<Event> event = load_event(database_, ahead_.front());
        position_ = ahead_.front().key.substr(log_.size());
        ahead_.pop_front();
        if (event) return event;
      }
      if (is_behind_) {
        read_ahead();
      } else {
        is_behind_ = watch_.next(deadline).has_value();
        if (!is_behind_) return std::nullopt;
      }
    }
    return std::nullopt;
  }

  void cancel() {
    is_cancelled_ = true;
    watch_.cancel();
  }

  const EventId& position() const { return position_; }

 private:
  void read_ahead() {
    Range range = Range::prefix(log_);
    if (!position_.empty()) range.begin += position_ + '\0';
    Page page = database_.scan(range, {.limit = kPageEvents});
    if (history_ != 0 && page.at.history != history_) {
      throw Error(Code::history_changed,
                  "the database of an event stream was dropped or restored while the "
                  "stream was followed; its ids begin anew: subscribe again");
    }
    history_ = page.at.history;
    is_behind_ = page.more;
    for (Entry& entry : page.entries) ahead_.push_back(std::move(entry));
  }

  Database database_;
  const Bytes log_;
  EventId position_;
  std::uint64_t history_;
  /// Whether there may be events that were not read.
  bool is_behind_ = true;
  std::deque<Entry> ahead_;
  std::atomic<bool> is_cancelled_{false};
  Watch watch_;
};

EventSubscription::EventSubscription(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
EventSubscription::~EventSubscription() = default;
EventSubscription::EventSubscription(EventSubscription&&) noexcept = default;
EventSubscription& EventSubscription::operator=(EventSubscription&&) noexcept = default;

std::optional<Event> EventSubscription::next(Deadline deadline) { return impl_->next(deadline); }
void EventSubscription::cancel() { impl_->cancel(); }
const EventId& EventSubscription::position() const { return impl_->position(); }

EventSubscription Events::subscribe(View stream, View after) const {
  if (!after.empty()) validate_event_id(after);
  Bytes log = EventKeys(prefix_).log(stream);
  return EventSubscription(
      std::make_unique<EventSubscription::Impl>(database_, std::move(log), after, database_.position()));
}

}  // namespace holdfast
