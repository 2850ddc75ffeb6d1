// How every list of a service is asked for and answered: in order, page by page, complete.
#pragma once

#include <cstddef>
#include <vector>

#include "holdfast/types.h"

namespace holdfast {

struct ListOptions {
  /// Only what starts with it.
  Bytes prefix = {};
  /// Where the last page ended; empty for the first page. Opaque text, valid for ever for the same list.
  Bytes cursor = {};
  /// 1..1,000 items. A page ends earlier when its payloads have reached 8 MiB.
  std::size_t limit = 100;
  /// Descending. A cursor belongs to one direction.
  bool reverse = false;
};

template <class Item>
struct Listing {
  std::vector<Item> items;
  /// Pass as the next cursor. Empty: the list has ended.
  Bytes cursor = {};
};

namespace limits {

inline constexpr std::size_t kListItems = 1'000;

}  // namespace limits
}  // namespace holdfast
