#include "server/store_sizes.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

namespace holdfast::server {
namespace {

/// So many times as long as it took to read a database it is left alone.
constexpr int kRestPerRead = 20;
/// Databases with figures of their own: a series for each name must not become millions.
constexpr std::size_t kShownDatabases = 200;

std::string head(const std::string& name, const char* help) {
  return "# HELP " + name + " " + help + "\n# TYPE " + name + " gauge\n";
}

std::string label(const Bytes& database) {
  std::string text;
  for (const char c : database) {
    if (c == '\\' || c == '"') text += '\\';
    text += c;
  }
  return "{database=\"" + text + "\"} ";
}

struct Figure {
  const char* name;
  const char* help;
  std::uint64_t (*of)(const DatabaseSizes&);
};

constexpr std::array kFigures{
    Figure{"entries", "Live entries.", [](const DatabaseSizes& sizes) { return sizes.entries; }},
    Figure{"bytes", "Bytes of the keys and values of live entries.",
           [](const DatabaseSizes& sizes) { return sizes.key_bytes + sizes.value_bytes; }},
    Figure{"object_bytes", "Bytes of complete objects: large values and blobs.",
           [](const DatabaseSizes& sizes) { return sizes.object_bytes; }},
};

}  // namespace

StoreSizes::StoreSizes(std::shared_ptr<Store> store, std::chrono::milliseconds interval,
                       std::shared_ptr<Clock> clock, OnError on_error)
    : store_(std::move(store)), clock_(std::move(clock)) {
  StoreRounds::Options options;
  options.interval = interval;
  options.clock = clock_;
  options.visit = [this](const Bytes& database, const std::stop_token& stop) { visit(database, stop); };
  options.end_round = [this] { end_round(); };
  options.on_error = std::move(on_error);
  rounds_.emplace(store_, std::move(options));
}

void StoreSizes::visit(const Bytes& database, const std::stop_token& stop) {
  met_.insert(database);
  const Database handle = store_->database(database);
  const Deadline began = clock_->steady_now();
  {
    const std::scoped_lock lock(mutex_);
    const auto known = counted_.find(database);
    if (known != counted_.end() && began < known->second.due) return;
  }
  const Position at = handle.position();
  {
    const std::scoped_lock lock(mutex_);
    const auto known = counted_.find(database);
    if (known != counted_.end() && known->second.at == at) return;
  }
  Counted counted;
  // Taken before: what is written meanwhile is counted by the next round.
  counted.at = at;
  counted.sizes = sizes_of(handle, [&] {
    if (stop.stop_requested()) throw Error(Code::closed, "the server is stopping");
  });
  const Deadline now = clock_->steady_now();
  counted.due = now + kRestPerRead * (now - began);
  const std::scoped_lock lock(mutex_);
  counted_.insert_or_assign(database, counted);
}

void StoreSizes::end_round() {
  const std::set<Bytes> met = std::exchange(met_, {});
  const std::scoped_lock lock(mutex_);
  std::erase_if(counted_, [&](const auto& each) { return !met.contains(each.first); });
  is_ready_ = true;
}

std::string StoreSizes::prometheus(const std::function<bool(View database)>& may_read) const {
  const std::scoped_lock lock(mutex_);
  if (!is_ready_) return {};
  std::vector<std::pair<const Bytes*, const Counted*>> shown;
  std::array<std::uint64_t, kFigures.size()> sums{};
  for (const auto& [name, counted] : counted_) {
    for (std::size_t i = 0; i < kFigures.size(); ++i) sums[i] += kFigures[i].of(counted.sizes);
    if (may_read(name)) shown.emplace_back(&name, &counted);
  }
  if (shown.size() > kShownDatabases) {
    const auto is_larger = [](const auto& a, const auto& b) { return a.second->bytes() > b.second->bytes(); };
    std::ranges::nth_element(shown, shown.begin() + kShownDatabases, is_larger);
    shown.resize(kShownDatabases);
  }
  std::string text;
  for (std::size_t i = 0; i < kFigures.size(); ++i) {
    const std::string of_store = std::string("holdfast_store_") + kFigures[i].name;
    text += head(of_store, kFigures[i].help) + of_store + " " + std::to_string(sums[i]) + "\n";
    const std::string of_database = std::string("holdfast_database_") + kFigures[i].name;
    text += head(of_database, kFigures[i].help);
    for (const auto& [name, counted] : shown) {
      text += of_database + label(*name) + std::to_string(kFigures[i].of(counted->sizes)) + "\n";
    }
  }
  return text;
}

}  // namespace holdfast::server
