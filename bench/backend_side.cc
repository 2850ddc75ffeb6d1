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

BackendSide::BackendSide(const std::string& url) : backend_(open_backend(url)) {}

void BackendSide::put(const std::vector<std::size_t>& keys, const std::string& value) {
  Group group;
  group.database = "bench";
  group.history = history_;
  group.session = {1, 1};
  group.number = ++number_;
  group.now_ms = kNowMs;
  for (const std::size_t index : keys) {
    Batch& batch = group.batches.emplace_back();
    const std::string& key = key_text(index);
    const Seq version = versions_[index];
    batch.checks.push_back(version == 0 ? Check::absent(key) : Check::has_version(key, version));
    batch.writes.push_back(Write::put(key, value));
  }
  group.content_hash = content_hash(group.batches);
  backend_->commit({&group, 1});
  if (group.error) throw Error(*group.error);
  history_ = group.at.history;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (!group.outcomes[i].committed()) throw std::runtime_error("a check failed");
    versions_[keys[i]] = group.outcomes[i].seq;
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
