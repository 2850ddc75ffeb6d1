// A store whose files were damaged on purpose: whatever stands in them, opening, checking and repairing end
// with an error of ours or with a store that can be read; and what repair has mended can be opened. The first
// bytes of the input say which file is damaged where and how; a record may be given its right checksum, so
// that the decoders behind it are reached too.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "backends/file/format.h"
#include "fuzz/fuzzed_store.h"
#include "holdfast/error.h"

namespace {

using namespace holdfast;

/// A record with the right checksum in place of the segment's or checkpoint's first.
void replace_record(SimulatedFileSystem& files, const std::string& path, View body) {
  const file::FileHeader header =
      file::decode_file_header(files.content(path).substr(0, file::kHeaderBytes), path);
  file::AlignedBuffer record;
  record.extend(file::kFrameBytes);
  record.put_raw(body);
  const std::uint64_t number = header.type == file::FileHeader::Type::segment ? header.sequence : 0;
  file::seal_frame(record, 0, header.file_id, number);
  files.replace(path, file::kHeaderBytes, record.view(0, record.size()));
}

void damage(SimulatedFileSystem& files, View input) {
  const auto byte = [&](std::size_t at) { return static_cast<unsigned char>(input[at]); };
  const std::vector<std::string> paths = files.paths();
  const std::string path = paths[byte(0) % paths.size()];
  const std::size_t offset = byte(2) * 256u + byte(3);
  const View rest = input.substr(4);
  switch (byte(1) % 3) {
    case 0:
      return files.replace(path, offset, rest);
    case 1:
      return files.truncate_file(path, offset);
    default:
      return replace_record(files, path, rest);
  }
}

void read_all(Backend& backend) {
  const Scan scan{Range::all(), {.limit = 100}};
  for (const Bytes& name : backend.databases({}, {}, 100, Deadline::max())) {
    ReadRequest request;
    request.scans = {&scan, 1};
    request.clock_skew_limit_ms = 0;
    request.deadline = Deadline::max();
    try {
      backend.read(name, request);
    } catch (const Error& error) {
      // Fenced.
      if (error.code() != Code::moved && error.code() != Code::unavailable) throw;
    }
  }
}

void open_and_read(const Environment& environment) {
  const auto store = fuzz::open_store(environment);
  read_all(*store);
}

/// One commit to every database; those that are fenced refuse it.
void write_all(Backend& backend) {
  std::uint64_t number = 0;
  for (const Bytes& name : backend.databases({}, {}, 100, Deadline::max())) {
    Group group;
    group.database = name;
    group.session = {3, 3};
    group.number = ++number;
    group.deadline = Deadline::max();
    group.clock_skew_limit_ms = 0;
    group.batches.push_back({{}, {Write::put("after/repair", "v")}});
    backend.commit({&group, 1});
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::shared_ptr<SimulatedFileSystem> kIntact = fuzz::intact_store();
  static const BackendFactory kFactory = file_factory();
  if (size < 4) return 0;
  const auto files = kIntact->clone(1);
  try {
    damage(*files, {reinterpret_cast<const char*>(data), size});
  } catch (const Error&) {
    return 0;  // a record in a file that has none
  }
  const Environment environment = fuzz::environment_on(files);
  try {
    return open_and_read(environment), 0;
  } catch (const Error&) {
    // Refused: that is what check and repair are for.
  }
  const Options options("file:", kFactory.options, fuzz::store_url().options);
  try {
    kFactory.check(fuzz::store_url(), options, environment);
    kFactory.repair(fuzz::store_url(), options, environment);
  } catch (const Error&) {
    return 0;
  }
  const auto store = fuzz::open_store(environment);
  read_all(*store);
  write_all(*store);
  return 0;
}
