// Walks a range of entries for a list: cursors, limits and the budget of a page in one place.
#pragma once

#include <functional>

#include "holdfast/listing.h"
#include "holdfast/store.h"

namespace holdfast {

/// A cursor that says where a page has ended, and what it says. Throws invalid_argument for what is none.
Bytes to_cursor(View place);
Bytes from_cursor(View cursor);
/// Throws invalid_argument for a limit out of its bounds.
void validate_list_limit(std::size_t limit);

/// The entries behind `keys_prefix` + options.prefix in order. `take` is called with each entry and the
/// user's part of its key, until the page is full; it answers how many bytes the entry adds to the page, or 0
/// for an entry that is passed over. The cursor is that of the page. Throws invalid_argument for a limit out
/// of its bounds and for a cursor that is none.
Bytes list_entries(const Database& database, View keys_prefix, const ListOptions& options,
                   const std::function<std::size_t(View user_key, Entry& entry)>& take);

/// The same for a range of keys, all of which start with `keys_prefix`; options.prefix has no meaning.
Bytes list_range(const Database& database, Range range, View keys_prefix, const ListOptions& options,
                 const std::function<std::size_t(View user_key, Entry& entry)>& take);

}  // namespace holdfast
