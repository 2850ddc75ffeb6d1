// Parameters and results in PostgreSQL's binary format, arrays of one dimension included.
#pragma once

#include <libpq-fe.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "holdfast/types.h"

namespace holdfast::postgres {

/// An array parameter that is filled element by element.
class ArrayParameter {
 public:
  static ArrayParameter int4s() { return ArrayParameter(kInt4); }
  static ArrayParameter int8s() { return ArrayParameter(kInt8); }
  static ArrayParameter byteas() { return ArrayParameter(kBytea); }
  static ArrayParameter booleans() { return ArrayParameter(kBoolean); }
  static ArrayParameter texts() { return ArrayParameter(kText); }

  void add(std::int32_t number);
  void add(std::int64_t number);
  void add(bool flag);
  void add(View bytes);
  /// An element of several parts.
  void add(View first, View second);
  void add_null();
  std::size_t size() const { return count_; }
  /// Makes room for elements of `bytes` in all.
  void reserve(std::size_t elements, std::size_t bytes) { body_.reserve(elements * 4 + bytes + kHeader); }
  std::string finish() &&;

 private:
  static constexpr std::int32_t kBoolean = 16, kBytea = 17, kInt8 = 20, kInt4 = 23, kText = 25;
  static constexpr std::size_t kHeader = 20;
  explicit ArrayParameter(std::int32_t element) : element_(element), body_(kHeader, '\0') {}

  std::int32_t element_;
  bool has_null_ = false;
  std::size_t count_ = 0;
  std::string body_;
};

/// The parameters of one statement, in order.
class Parameters {
 public:
  Parameters& int4(std::int32_t number);
  Parameters& int8(std::int64_t number);
  Parameters& int8(std::uint64_t number) { return int8(static_cast<std::int64_t>(number)); }
  Parameters& boolean(bool flag);
  /// The bytes of a bytea or of a text.
  Parameters& bytes(View bytes);
  Parameters& null();
  Parameters& array(ArrayParameter array);

  int count() const { return static_cast<int>(values_.size()); }
  const char* const* values() const;
  const int* lengths() const;
  const int* formats() const;

 private:
  std::deque<std::optional<std::string>> values_;
  mutable std::vector<const char*> pointers_;
  mutable std::vector<int> lengths_, formats_;
};

/// The rows of one answer, all columns in binary format.
class Rows {
 public:
  Rows() = default;
  explicit Rows(PGresult* result) : result_(result, &PQclear) {}

  int size() const { return result_ ? PQntuples(result_.get()) : 0; }
  bool is_null(int row, int column) const { return PQgetisnull(result_.get(), row, column) != 0; }
  std::int64_t int8(int row, int column) const;
  std::int32_t int4(int row, int column) const;
  bool boolean(int row, int column) const { return *PQgetvalue(result_.get(), row, column) != 0; }
  /// The bytes of a bytea or of a text, valid as long as these rows.
  View bytes(int row, int column) const;
  /// 0 for a null.
  std::int64_t int8_or_0(int row, int column) const { return is_null(row, column) ? 0 : int8(row, column); }
  std::optional<std::int64_t> maybe_int8(int row, int column) const {
    if (is_null(row, column)) return std::nullopt;
    return int8(row, column);
  }
  std::vector<std::int32_t> int4s(int row, int column) const;

 private:
  std::shared_ptr<PGresult> result_;
};

}  // namespace holdfast::postgres
