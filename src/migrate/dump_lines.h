// The lines of a dump (include/holdfast/migrate.h) and what they mean.
#pragma once

#include <cstdint>
#include <string>
#include <variant>

#include "holdfast/store.h"
#include "holdfast/types.h"

namespace holdfast::migrate {

struct DumpHeader {
  std::string id;
  std::string store;
  Bytes database;
  Position position;
  UnixMs time_ms = 0;
  std::uint64_t entries = 0;
};
struct DumpErase {
  Bytes key;
};
struct DumpClear {
  Range range;
};
struct DumpScanned {
  std::uint64_t entries = 0;
};
struct DumpEnd {
  Position position;
  UnixMs time_ms = 0;
  Digest digest;
};
using DumpLine = std::variant<DumpHeader, Entry, DumpErase, DumpClear, DumpScanned, DumpEnd>;

std::string dump_line(const DumpHeader& header);
std::string dump_line(const Entry& entry);
std::string dump_line(const DumpErase& erase);
std::string dump_line(const DumpClear& clear);
std::string dump_line(const DumpScanned& scanned);
std::string dump_line(const DumpEnd& end);

/// Throws invalid_argument saying what is wrong, but no key and no value.
DumpLine parse_dump_line(View line);

}  // namespace holdfast::migrate
