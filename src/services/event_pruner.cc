#include "holdfast/event_pruner.h"

#include <utility>

#include "holdfast/error.h"
#include "holdfast/events.h"
#include "services/keys.h"

namespace holdfast {
namespace {

constexpr std::size_t kDatabasesPerPage = 1'000;

}  // namespace

EventPruner::EventPruner(std::shared_ptr<Store> store, EventPrunerOptions options)
    : store_(std::move(store)),
      options_(std::move(options)),
      clock_(options_.clock ? options_.clock : system_clock()) {
  if (options_.interval.count() < 1) {
    throw Error(Code::invalid_argument, "the interval of an event pruner is at least 1 ms");
  }
  for (const Bytes& prefix : options_.prefixes) validate_service_prefix(prefix);
  thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
}

EventPruner::~EventPruner() {
  thread_.request_stop();
  {
    // Whoever is about to wait has seen the request, or hears the notification.
    const std::scoped_lock lock(mutex_);
  }
  changed_.notify_all();
  thread_.join();
}

void EventPruner::run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    try {
      Bytes after;
      for (bool is_more = true; is_more && !stop.stop_requested();) {
        const std::vector<Bytes> names = store_->databases({}, after, kDatabasesPerPage);
        for (const Bytes& name : names) prune_database(name, stop);
        is_more = names.size() == kDatabasesPerPage;
        if (is_more) after = names.back();
      }
    } catch (const Error& error) {
      if (error.code() == Code::closed) return;
      if (options_.on_error) options_.on_error({}, error);
    }
    std::unique_lock lock(mutex_);
    const Deadline next = clock_->steady_now() + options_.interval;
    while (!stop.stop_requested() && clock_->steady_now() < next) clock_->wait_until(changed_, lock, next);
  }
}

void EventPruner::prune_database(const Bytes& name, const std::stop_token& stop) {
  try {
    for (const Bytes& prefix : options_.prefixes) {
      if (stop.stop_requested()) return;
      Events(store_->database(name), prefix).prune_all(stop);
    }
  } catch (const Error& error) {
    if (error.code() == Code::closed) throw;
    if (options_.on_error) options_.on_error(name, error);
  }
}

}  // namespace holdfast
