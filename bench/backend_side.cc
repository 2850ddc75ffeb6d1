#include "backend_side.h"

#include <stdexcept>

#include "contract/validate.h"
#include "holdfast/open.h"

namespace holdfast::bench {
namespace {

constexpr UnixMs kNowMs = 1'700'000'000'000;

}  // namespace

const std::string& key_text(std::size_t index) {
  static const std::vector<std::string> keys = [] {
    std::vector<std::string> made;
    for (std::size_t i = 0; i < kKeys; ++i) made.push_back(key_of(i));
    return made;
  }();
  return keys[index];
}

BackendSide::BackendSide(const std::string& url) : backend_(open_backend(url)) {
  known_.reserve(kKeys);
  for (std::size_t i = 0; i < kKeys; ++i) known_.push_back({key_text(i), 0});
  group_.database = "bench";
  group_.session = {1, 1};
  group_.now_ms = kNowMs;
}

void BackendSide::put(const std::vector<std::size_t>& keys, const std::string& value) {
  group_.history = history_;
  group_.number = ++number_;
  group_.outcomes.clear();
  group_.batches.resize(keys.size());
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const auto& [key, version] = known_[keys[i]];
    Batch& batch = group_.batches[i];
    batch.checks.resize(1);
    batch.checks[0].kind = version == 0 ? Check::Kind::absent : Check::Kind::version;
    batch.checks[0].key = key;
    batch.checks[0].version = version;
    batch.writes.resize(1);
    batch.writes[0].key = key;
    batch.writes[0].value = value;
  }
  group_.content_hash = content_hash(group_.batches);
  backend_->commit({&group_, 1});
  if (group_.error) throw Error(*group_.error);
  history_ = group_.at.history;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (!group_.outcomes[i].committed()) throw std::runtime_error("a check failed");
    known_[keys[i]].version = group_.outcomes[i].seq;
  }
}

std::string BackendSide::get(std::size_t index) {
  const View key = key_text(index);
  ReadRequest request;
  request.gets = {&key, 1};
  request.now_ms = kNowMs;
  request.history = history_;
  return std::move(backend_->read("bench", request).gets.at(0)->value);
}

std::size_t BackendSide::scan(std::size_t index) {
  const Scan scan{{key_text(index), ""}, {.limit = kScanRows}};
  ReadRequest request;
  request.scans = {&scan, 1};
  request.now_ms = kNowMs;
  request.history = history_;
  return backend_->read("bench", request).pages.at(0).entries.size();
}

std::vector<std::size_t> Picker::keys(std::size_t count) {
  ++picks_;
  std::vector<std::size_t> keys;
  while (keys.size() < count) {
    const std::size_t key = dice_.below(kKeys);
    if (picked_[key] != picks_) keys.push_back(key);
    picked_[key] = picks_;
  }
  return keys;
}

}  // namespace holdfast::bench
