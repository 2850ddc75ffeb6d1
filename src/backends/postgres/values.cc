#include "backends/postgres/values.h"

#include <array>

#include "contract/assert.h"

namespace holdfast::postgres {
namespace {

template <class Number>
void append_number(std::string& out, Number number) {
  std::array<char, sizeof number> bytes;
  for (std::size_t i = 0; i < sizeof number; ++i) {
    bytes[i] = static_cast<char>((number >> (8 * (sizeof number - 1 - i))) & 0xff);
  }
  out.append(bytes.data(), bytes.size());
}

template <class Number>
Number read_number(const char* at) {
  std::uint64_t number = 0;
  for (std::size_t i = 0; i < sizeof(Number); ++i) number = number << 8 | static_cast<unsigned char>(at[i]);
  return static_cast<Number>(number);
}

void put_int4(std::string& out, std::size_t at, std::size_t number) {
  for (std::size_t i = 0; i < 4; ++i) out[at + i] = static_cast<char>((number >> (24 - 8 * i)) & 0xff);
}

}  // namespace

void ArrayParameter::add(std::int32_t number) {
  append_number(body_, std::int32_t{4});
  append_number(body_, number);
  ++count_;
}

void ArrayParameter::add(std::int64_t number) {
  append_number(body_, std::int32_t{8});
  append_number(body_, number);
  ++count_;
}

void ArrayParameter::add(bool flag) {
  append_number(body_, std::int32_t{1});
  body_ += flag ? '\1' : '\0';
  ++count_;
}

void ArrayParameter::add(View bytes) { add(bytes, {}); }

void ArrayParameter::add(View first, View second) {
  append_number(body_, static_cast<std::int32_t>(first.size() + second.size()));
  body_.append(first).append(second);
  ++count_;
}

void ArrayParameter::add_null() {
  append_number(body_, std::int32_t{-1});
  has_null_ = true;
  ++count_;
}

std::string ArrayParameter::finish() && {
  put_int4(body_, 8, static_cast<std::size_t>(element_));
  if (count_ == 0) return body_.substr(0, 12);  // no dimension
  put_int4(body_, 0, 1);
  put_int4(body_, 4, has_null_ ? 1 : 0);
  put_int4(body_, 12, count_);
  put_int4(body_, 16, 1);  // the first index
  return std::move(body_);
}

Parameters& Parameters::int4(std::int32_t number) {
  append_number(values_.emplace_back(std::in_place).value(), number);
  return *this;
}

Parameters& Parameters::int8(std::int64_t number) {
  append_number(values_.emplace_back(std::in_place).value(), number);
  return *this;
}

Parameters& Parameters::boolean(bool flag) {
  values_.emplace_back(std::string(1, flag ? '\1' : '\0'));
  return *this;
}

Parameters& Parameters::bytes(View bytes) {
  values_.emplace_back(std::string(bytes));
  return *this;
}

Parameters& Parameters::null() {
  values_.emplace_back(std::nullopt);
  return *this;
}

Parameters& Parameters::array(ArrayParameter array) {
  values_.emplace_back(std::move(array).finish());
  return *this;
}

const char* const* Parameters::values() const {
  pointers_.clear();
  for (const auto& value : values_) pointers_.push_back(value ? value->data() : nullptr);
  return pointers_.data();
}

const int* Parameters::lengths() const {
  lengths_.clear();
  for (const auto& value : values_) lengths_.push_back(value ? static_cast<int>(value->size()) : 0);
  return lengths_.data();
}

const int* Parameters::formats() const {
  formats_.assign(values_.size(), 1);
  return formats_.data();
}

std::int64_t Rows::int8(int row, int column) const {
  HOLDFAST_ASSERT(PQgetlength(result_.get(), row, column) == 8);
  return read_number<std::int64_t>(PQgetvalue(result_.get(), row, column));
}

std::int32_t Rows::int4(int row, int column) const {
  HOLDFAST_ASSERT(PQgetlength(result_.get(), row, column) == 4);
  return read_number<std::int32_t>(PQgetvalue(result_.get(), row, column));
}

View Rows::bytes(int row, int column) const {
  return {PQgetvalue(result_.get(), row, column),
          static_cast<std::size_t>(PQgetlength(result_.get(), row, column))};
}

std::vector<std::int32_t> Rows::int4s(int row, int column) const {
  std::vector<std::int32_t> numbers;
  if (is_null(row, column)) return numbers;
  const View array = bytes(row, column);
  if (array.size() < 20) return numbers;
  const auto count = read_number<std::int32_t>(array.data() + 12);
  HOLDFAST_ASSERT(array.size() == 20 + 8 * static_cast<std::size_t>(count));
  numbers.reserve(static_cast<std::size_t>(count));
  for (std::size_t at = 24; at < array.size() + 4 && numbers.size() < static_cast<std::size_t>(count);
       at += 8) {
    numbers.push_back(read_number<std::int32_t>(array.data() + at));
  }
  return numbers;
}

}  // namespace holdfast::postgres
