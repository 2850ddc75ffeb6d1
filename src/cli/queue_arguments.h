// What commands for job queues and for schedules share.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cli/command.h"
#include "cli/context.h"
#include "holdfast/queue.h"

namespace holdfast::cli {

const Argument& queue_argument();
std::vector<Argument> with_queue_prefix(std::vector<Argument> arguments);
/// QUEUE under --prefix.
Queue queue_of(Context& context, const Arguments& arguments);

/// The options of a send, but for the delay and the instant.
std::vector<Argument> send_arguments();
SendOptions send_options_of(const Arguments& arguments);

std::optional<std::chrono::milliseconds> milliseconds_of(const Arguments& arguments, const std::string& name);
/// As above, where "0" is a time too; for arguments of Kind::text.
std::optional<std::chrono::milliseconds> milliseconds_or_zero(const Arguments& arguments,
                                                              const std::string& name);
/// Throws UsageError for more than fits.
std::uint32_t small_number_of(const Arguments& arguments, const std::string& name);

/// A row, with the names of its columns.
using NamedCells = std::vector<std::pair<std::string, Cell>>;
std::vector<std::string> names_of(const NamedCells& row);
std::vector<Cell> cells_of(NamedCells row);

/// Nothing for an empty text.
Cell text_or_none(const Bytes& text);
/// Nothing for none.
Cell ids_cell(const std::vector<JobId>& ids);
/// Of a job with --json, or where it is shown alone: all that is known about it; else what fits a line.
NamedCells job_cells(const Job& job, bool all);

}  // namespace holdfast::cli
