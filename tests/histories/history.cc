#include "histories/history.h"

#include <istream>
#include <iterator>
#include <ostream>

namespace holdfast::histories {
namespace {

class Writer {
 public:
  explicit Writer(std::ostream& out) : out_(out) {}
  void number(std::uint64_t value) { out_.write(reinterpret_cast<const char*>(&value), sizeof value); }
  void bytes(const Bytes& value) {
    number(value.size());
    out_.write(value.data(), static_cast<std::streamsize>(value.size()));
  }
  template <class T, class F>
  void list(const std::vector<T>& values, F&& each) {
    number(values.size());
    for (const T& value : values) each(value);
  }

 private:
  std::ostream& out_;
};

class Reader {
 public:
  explicit Reader(std::istream& in) : in_(in) {}
  std::uint64_t number() {
    std::uint64_t value = 0;
    in_.read(reinterpret_cast<char*>(&value), sizeof value);
    return value;
  }
  Bytes bytes() {
    Bytes value(number(), '\0');
    in_.read(value.data(), static_cast<std::streamsize>(value.size()));
    return value;
  }
  template <class T, class F>
  void list(std::vector<T>& values, F&& each) {
    values.resize(number());
    for (T& value : values) each(value);
  }

 private:
  std::istream& in_;
};

void put(Writer& out, const SeenKey& seen) {
  out.bytes(seen.key);
  out.number(seen.version);
  out.bytes(seen.value);
}

void take(Reader& in, SeenKey& seen) {
  seen.key = in.bytes();
  seen.version = in.number();
  seen.value = in.bytes();
}

void put(Writer& out, const Operation& operation) {
  out.number(static_cast<std::uint64_t>(operation.kind));
  out.number(static_cast<std::uint64_t>(operation.started_ns));
  out.number(static_cast<std::uint64_t>(operation.ended_ns));
  out.number(operation.at ? 1 : 0);
  out.number(operation.at.value_or(0));
  out.number(operation.seq);
  out.number(operation.failed_check);
  out.list(operation.keys, [&](const SeenKey& seen) { put(out, seen); });
  out.list(operation.ranges, [&](const SeenRange& seen) {
    out.bytes(seen.range.begin);
    out.bytes(seen.range.end);
    out.list(seen.keys, [&](const SeenKey& key) { put(out, key); });
  });
  out.list(operation.batch.checks, [&](const Check& check) {
    out.number(static_cast<std::uint64_t>(check.kind));
    out.bytes(check.key);
    out.number(check.version);
  });
  out.list(operation.batch.writes, [&](const Write& write) {
    out.number(static_cast<std::uint64_t>(write.kind));
    out.bytes(write.key);
    out.bytes(write.suffix);
    out.bytes(write.value);
  });
}

void take(Reader& in, Operation& operation) {
  operation.kind = static_cast<Operation::Kind>(in.number());
  operation.started_ns = static_cast<std::int64_t>(in.number());
  operation.ended_ns = static_cast<std::int64_t>(in.number());
  const bool has_position = in.number() != 0;
  const Seq at = in.number();
  if (has_position) operation.at = at;
  operation.seq = in.number();
  operation.failed_check = in.number();
  in.list(operation.keys, [&](SeenKey& seen) { take(in, seen); });
  in.list(operation.ranges, [&](SeenRange& seen) {
    seen.range.begin = in.bytes();
    seen.range.end = in.bytes();
    in.list(seen.keys, [&](SeenKey& key) { take(in, key); });
  });
  in.list(operation.batch.checks, [&](Check& check) {
    check.kind = static_cast<Check::Kind>(in.number());
    check.key = in.bytes();
    check.version = in.number();
  });
  in.list(operation.batch.writes, [&](Write& write) {
    write.kind = static_cast<Write::Kind>(in.number());
    write.key = in.bytes();
    write.suffix = in.bytes();
    write.value = in.bytes();
  });
}

}  // namespace

void History::append(History other) {
  operations.insert(operations.end(), std::make_move_iterator(other.operations.begin()),
                    std::make_move_iterator(other.operations.end()));
  watches.insert(watches.end(), std::make_move_iterator(other.watches.begin()),
                 std::make_move_iterator(other.watches.end()));
}

void History::write(std::ostream& stream) const {
  Writer out(stream);
  out.list(operations, [&](const Operation& operation) { put(out, operation); });
  out.list(watches, [&](const WatchLog& watch) {
    out.bytes(watch.range.begin);
    out.bytes(watch.range.end);
    out.number(watch.since);
    out.number(watch.until);
    out.list(watch.told, [&](const WatchLog::Told& told) {
      out.list(told.keys, [&](const Bytes& key) { out.bytes(key); });
      out.number(told.everything ? 1 : 0);
      out.number(told.through);
    });
  });
}

History History::read(std::istream& stream) {
  Reader in(stream);
  History history;
  in.list(history.operations, [&](Operation& operation) { take(in, operation); });
  in.list(history.watches, [&](WatchLog& watch) {
    watch.range.begin = in.bytes();
    watch.range.end = in.bytes();
    watch.since = in.number();
    watch.until = in.number();
    in.list(watch.told, [&](WatchLog::Told& told) {
      in.list(told.keys, [&](Bytes& key) { key = in.bytes(); });
      told.everything = in.number() != 0;
      told.through = in.number();
    });
  });
  return history;
}

}  // namespace holdfast::histories
