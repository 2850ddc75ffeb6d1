// The layer that changes nothing: what other layers, and backends that are shared, are made from.
#pragma once

#include <memory>
#include <utility>

#include "holdfast/backend.h"

namespace holdfast {

/// Passes every call on. Derived layers override what they change.
class ForwardingBackend : public Backend {
 public:
  explicit ForwardingBackend(std::shared_ptr<Backend> inner) : inner_(std::move(inner)) {}

  const Traits& traits() const override { return inner_->traits(); }
  const Traits& traits_of(View database) const override { return inner_->traits_of(database); }
  std::size_t lane(View database) const override { return inner_->lane(database); }
  ReadAnswer read(View database, const ReadRequest& request) override {
    return inner_->read(database, request);
  }
  void commit(std::span<Group> groups) override { inner_->commit(groups); }
  Changes changes(View database, const ChangesRequest& request) override {
    return inner_->changes(database, request);
  }
  void compact(View database, Seq before, Deadline deadline) override {
    inner_->compact(database, before, deadline);
  }
  bool fence(View database, const Fence& expected, const Fence& next, Deadline deadline) override {
    return inner_->fence(database, expected, next, deadline);
  }
  std::vector<Bytes> databases(View prefix, View after, std::size_t limit, Deadline deadline) override {
    return inner_->databases(prefix, after, limit, deadline);
  }
  bool drop(View database, std::uint64_t history, Deadline deadline) override {
    return inner_->drop(database, history, deadline);
  }
  ExpiredAnswer expired(UnixMs now_ms, std::size_t limit, Deadline deadline) override {
    return inner_->expired(now_ms, limit, deadline);
  }
  std::vector<std::size_t> wait(std::span<const Cursor> cursors, Deadline deadline) override {
    return inner_->wait(cursors, deadline);
  }
  void wake() override { inner_->wake(); }
  Objects* objects() override { return inner_->objects(); }

 protected:
  Backend& inner() { return *inner_; }

 private:
  std::shared_ptr<Backend> inner_;
};

}  // namespace holdfast
