// The decoders of the file engine behind their checksums: any bytes as the body of a log's record are applied
// or refused as corruption, and what was applied can be read.
#include <cstddef>
#include <cstdint>

#include "backends/file/contents.h"

namespace {

/// Reads what is there, so that the sanitizers see every byte of it.
void read_all(const holdfast::file::Contents& contents) {
  for (const auto& database : contents.databases()) {
    const std::shared_lock lock(database->lock);
    const holdfast::Scan scan{holdfast::Range::all(), {.limit = 100}};
    holdfast::ReadRequest request;
    request.scans = {&scan, 1};
    std::vector<holdfast::file::PendingValue> pending;
    database->read(request, 0, pending);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const holdfast::View body(reinterpret_cast<const char*>(data), size);
  holdfast::file::Contents contents;
  try {
    contents.apply(body, {1, 4096, body.data()}, 1);
    contents.finish_loading();
    read_all(contents);
  } catch (const holdfast::Error& error) {
    if (error.code() != holdfast::Code::corruption) throw;
  }
  return 0;
}
