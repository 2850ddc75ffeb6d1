// Payloads on the command line, and lists that services give page by page.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "cli/command.h"
#include "cli/context.h"
#include "holdfast/listing.h"
#include "holdfast/payload.h"

namespace holdfast::cli {

/// VALUE, --file, --string, --bytes.
std::vector<Argument> payload_arguments();
/// What they say. A VALUE that is no JSON is a string.
Payload payload_of(const Arguments& arguments);
/// A VALUE alone.
Payload payload_of_text(const std::string& value);
/// Nothing where they say nothing.
std::optional<Payload> optional_payload_of(const Arguments& arguments);

/// A document as JSON, bytes as they are.
Cell payload_cell(const Payload& payload);
/// The payload alone: a document's text, or the bytes.
void print_payload(Context& context, const Payload& payload);
/// One item that has a payload: with --json as a row of all its columns, else the payload alone.
void show_one(Context& context, std::vector<std::string> columns, std::vector<Cell> cells,
              const Payload& payload);

/// --limit, --reverse and PREFIX.
std::vector<Argument> list_arguments(const std::string& what);

/// Calls `list` for page after page, and `show` for each item, until `limit` is reached; 0: all.
template <class Item>
void show_pages(Context& context, std::uint64_t limit, ListOptions options,
                const std::function<Listing<Item>(const ListOptions&)>& list,
                const std::function<void(const Item&)>& show) {
  std::uint64_t shown = 0;
  for (bool more = true; more && (limit == 0 || shown < limit);) {
    context.check_interrupt();
    options.limit =
        limit == 0 ? limits::kListItems : std::min<std::uint64_t>(limits::kListItems, limit - shown);
    Listing<Item> page = list(options);
    for (const Item& item : page.items) show(item);
    shown += page.items.size();
    more = !page.cursor.empty();
    options.cursor = std::move(page.cursor);
    if (!more) return;
  }
  context.out().finish();
  if (context.out().options().is_terminal) context.note("there are more; --limit 0 shows all of them");
}

/// As show_pages(), with what list_arguments() say.
template <class Item>
void show_list(Context& context, const Arguments& arguments,
               const std::function<Listing<Item>(const ListOptions&)>& list,
               const std::function<void(const Item&)>& show) {
  ListOptions options;
  options.prefix = arguments.optional_text("PREFIX").value_or("");
  options.reverse = arguments.flag("--reverse");
  show_pages<Item>(context, arguments.number("--limit"), options, list, show);
}

}  // namespace holdfast::cli
