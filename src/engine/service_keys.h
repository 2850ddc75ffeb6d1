// Which keys a service may name, and which it gets to see. Keys that begin with '!' are the engine's; of
// these services keep '!wake/<service>' entries only, which the sweeper hands to them when they are due.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "holdfast/backend.h"
#include "holdfast/types.h"

namespace holdfast {

/// Who speaks: the engine itself names and sees all keys.
enum class KeySpace : std::uint8_t { service, engine };

/// Throws invalid_argument for an invalid key and for one that belongs to the engine.
void validate_service_key(View key);

/// Whether a range runs across the engine's keys and so leaves them out for a service.
bool hides_engine_keys(const Range& range);
/// When the earliest '!wake/' entry that a batch puts falls due; INT64_MAX if it puts none.
UnixMs earliest_wake_ms(const Batch& batch);

/// The parts of a range that are scanned for a service, in key order: one or two. A range that runs across
/// the engine's keys leaves them out; one that begins within them is meant so and stays whole.
std::vector<Range> visible_parts(const Range& range, KeySpace space);
/// The scans of those parts, in the order of the scan; join_pages() makes one page of their answers.
std::vector<Scan> visible_scans(const Range& range, const ScanOptions& options, KeySpace space);
Page join_pages(std::vector<Page> pages, std::size_t limit);

}  // namespace holdfast
