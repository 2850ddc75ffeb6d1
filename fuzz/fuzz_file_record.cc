// The decoders of the file engine behind their checksums: any bytes as the blocks of a checkpoint and the
// records of the log behind it are applied or refused as corruption, and what was applied can be read. The
// input is a sequence of parts: a byte that is even for a record and odd for a block, the size in two bytes,
// the body.
#include <cstddef>
#include <cstdint>
#include <shared_mutex>
#include <vector>

#include "backends/file/checkpoint_reader.h"
#include "backends/file/contents.h"

namespace {

using namespace holdfast;

struct Part {
  bool is_block = false;
  View body;
};

std::vector<Part> parts_of(View input) {
  const auto byte = [&](std::size_t at) { return static_cast<unsigned char>(input[at]); };
  std::vector<Part> parts;
  while (input.size() >= 3) {
    const Part part{(byte(0) & 1) != 0, input.substr(3, byte(1) + 256u * byte(2))};
    parts.push_back(part);
    input.remove_prefix(3 + part.body.size());
  }
  return parts;
}

/// Reads what is there, so that the sanitizers see every byte of it.
void read_all(const file::Contents& contents) {
  for (const auto& database : contents.databases()) {
    const std::shared_lock lock(database->lock);
    const Scan scan{Range::all(), {.limit = 100}};
    ReadRequest request;
    request.scans = {&scan, 1};
    std::vector<file::PendingValue> pending;
    database->read(request, 0, pending);
  }
}

void load(file::Contents& contents, const std::vector<Part>& parts) {
  constexpr std::uint64_t kOffset = 4096;
  file::CheckpointLoader loader(contents, 1);
  std::uint64_t number = 0;
  for (const Part& part : parts) {
    if (part.is_block) loader.load({number++, kOffset, part.body});
  }
  std::uint64_t sequence = 0;
  for (const Part& part : parts) {
    if (!part.is_block) contents.apply(part.body, {2, kOffset, part.body}, ++sequence);
  }
  contents.finish_loading();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  file::Contents contents;
  try {
    load(contents, parts_of({reinterpret_cast<const char*>(data), size}));
  } catch (const Error& error) {
    if (error.code() != Code::corruption) throw;
    return 0;
  }
  read_all(contents);
  return 0;
}
