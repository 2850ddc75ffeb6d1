#include "services/store_rounds.h"

#include <utility>

#include "holdfast/error.h"

namespace holdfast {
namespace {

constexpr std::size_t kDatabasesPerPage = 1'000;

}  // namespace

StoreRounds::StoreRounds(std::shared_ptr<Store> store, Options options)
    : store_(std::move(store)), options_(std::move(options)) {
  thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
}

StoreRounds::~StoreRounds() {
  thread_.request_stop();
  {
    // Whoever is about to wait has seen the request, or hears the notification.
    const std::scoped_lock lock(mutex_);
  }
  changed_.notify_all();
  thread_.join();
}

void StoreRounds::run(const std::stop_token& stop) {
  Clock& clock = *options_.clock;
  while (!stop.stop_requested()) {
    try {
      visit_all(stop);
    } catch (const Error& error) {
      if (error.code() == Code::closed) return;
      if (options_.on_error) options_.on_error({}, error);
    }
    std::unique_lock lock(mutex_);
    const Deadline next = clock.steady_now() + options_.interval;
    while (!stop.stop_requested() && clock.steady_now() < next) clock.wait_until(changed_, lock, next);
  }
}

void StoreRounds::visit_all(const std::stop_token& stop) {
  Bytes after;
  for (bool is_more = true; is_more;) {
    const std::vector<Bytes> names = store_->databases({}, after, kDatabasesPerPage);
    for (const Bytes& name : names) {
      if (stop.stop_requested()) return;
      try {
        options_.visit(name, stop);
      } catch (const Error& error) {
        if (error.code() == Code::closed) throw;
        if (options_.on_error) options_.on_error(name, error);
      }
    }
    is_more = names.size() == kDatabasesPerPage;
    if (is_more) after = names.back();
  }
  if (options_.end_round) options_.end_round();
}

}  // namespace holdfast
