#include "backends/postgres/head_row.h"

namespace holdfast::postgres {
namespace {

constexpr std::size_t kNumbersBytes = 24;

}  // namespace

std::string fence_detail(const Fence& fence) {
  // Big-endian, as everything of PostgreSQL is.
  std::string out;
  for (const std::uint64_t number :
       {fence.at.history, fence.at.seq, static_cast<std::uint64_t>(fence.time_ms)}) {
    for (int shift = 56; shift >= 0; shift -= 8) out += static_cast<char>((number >> shift) & 0xff);
  }
  return out + fence.place;
}

Fence fence_of(std::int32_t state, std::int64_t token, View detail) {
  Fence fence;
  fence.state = static_cast<Fence::State>(state);
  fence.token = static_cast<std::uint64_t>(token);
  if (detail.size() < kNumbersBytes) return fence;
  const auto number = [&](std::size_t at) {
    std::uint64_t value = 0;
    for (std::size_t i = at; i < at + 8; ++i) value = value << 8 | static_cast<unsigned char>(detail[i]);
    return value;
  };
  fence.at = {number(0), number(8)};
  fence.time_ms = static_cast<UnixMs>(number(16));
  fence.place = Bytes(detail.substr(kNumbersBytes));
  return fence;
}

HeadRow head_row(const Rows& rows, int row, int column) {
  HeadRow out;
  if (row >= rows.size() || rows.is_null(row, column)) return out;
  out.id = rows.int8(row, column);
  out.head.history = static_cast<std::uint64_t>(rows.int8(row, column + 1));
  out.lineage = std::string(rows.bytes(row, column + 2));
  out.head.floor = static_cast<Seq>(rows.int8(row, column + 3));
  out.head.fence =
      fence_of(rows.int4(row, column + 4), rows.int8(row, column + 5), rows.bytes(row, column + 6));
  out.head.seq = static_cast<Seq>(rows.int8_or_0(row, column + 7));
  out.head.time_ms = rows.int8_or_0(row, column + 8);
  out.server_started_us = rows.int8(row, column + 9);
  out.epoch = rows.int8(row, column + 10);
  return out;
}

bool is_of_another_past(const HeadRow& row, Connection& connection) {
  if (row.id == 0) return false;
  if (row.server_started_us != connection.facts().started_us) {
    connection.abandon();
    throw Error(Code::unavailable, "the connection has another PostgreSQL server behind it now");
  }
  return row.lineage != connection.facts().lineage;
}

}  // namespace holdfast::postgres
