// A store whose files were damaged on purpose: whatever stands in them, opening, checking and repairing end
// with an error of ours or with a store that can be read. The first bytes of the input say which file is
// damaged where and how; a record may be given its right checksum, so that the decoders behind it are reached
// too.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "backends/file/file_backend.h"
#include "backends/file/format.h"
#include "contract/validate.h"
#include "holdfast/maintenance.h"
#include "support/simulated_file_system.h"

namespace {

using namespace holdfast;

constexpr const char* kFolder = "/store";

Url store_url() { return Url::parse(std::string("file://") + kFolder + "?segment_size_bytes=65536"); }

std::unique_ptr<FileStore> open_store(const Environment& environment) {
  const BackendFactory factory = file_factory();
  return open_file_store(store_url(), Options("file:", factory.options, store_url().options), environment);
}

void put(Backend& backend, std::uint64_t number, const std::string& key, std::size_t value_bytes) {
  Group group;
  group.database = "fuzz/" + std::to_string(number % 5);
  group.session = {1, number % 5};
  group.number = number / 5 + 1;
  group.now_ms = 1'700'000'000'000;
  group.deadline = Deadline::max();
  group.batches.push_back(
      {{}, {Write::put(key, std::string(value_bytes, 'v'), group.now_ms + 5), Write::erase("gone")}});
  group.content_hash = content_hash(group.batches);
  backend.commit({&group, 1});
  if (group.error) std::abort();
}

/// Checkpoints of every lane, and logs behind them.
std::shared_ptr<SimulatedFileSystem> intact_store() {
  auto files = SimulatedFileSystem::make({});
  Environment environment;
  environment.files = files;
  environment.clock = std::make_shared<ManualClock>();
  environment.random = seeded_random(1);
  const auto store = open_store(environment);
  for (std::uint64_t i = 0; i < 20; ++i) put(*store, i, "key/" + std::to_string(i), i == 7 ? 3'000 : 50);
  store->checkpoint();
  for (std::uint64_t i = 20; i < 40; ++i) put(*store, i, "key/" + std::to_string(i), i == 27 ? 3'000 : 50);
  auto copy = files->clone(1);
  copy->process_kill();
  return copy;
}

/// A record with the right checksum in place of the segment's first.
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

void read_all(Backend& backend) {
  const Scan scan{Range::all(), {.limit = 100}};
  for (const Bytes& name : backend.databases({}, {}, 100, Deadline::max())) {
    ReadRequest request;
    request.scans = {&scan, 1};
    request.clock_skew_limit_ms = 0;
    request.deadline = Deadline::max();
    backend.read(name, request);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::shared_ptr<SimulatedFileSystem> kIntact = intact_store();
  if (size < 4) return 0;
  const auto files = kIntact->clone(1);
  Environment environment;
  environment.files = files;
  environment.clock = std::make_shared<ManualClock>();
  environment.random = seeded_random(2);

  const std::vector<std::string> paths = files->paths();
  const std::string path = paths[data[0] % paths.size()];
  const std::size_t offset = data[2] * 256u + data[3];
  const View rest(reinterpret_cast<const char*>(data) + 4, size - 4);
  try {
    switch (data[1] % 3) {
      case 0:
        files->replace(path, offset, rest);
        break;
      case 1:
        files->truncate_file(path, offset);
        break;
      default:
        replace_record(*files, path, rest);
        break;
    }
    read_all(*open_store(environment));
  } catch (const Error&) {
    const BackendFactory factory = file_factory();
    const Options options("file:", factory.options, store_url().options);
    try {
      if (factory.check) factory.check(store_url(), options, environment);
      if (factory.repair) factory.repair(store_url(), options, environment);
      if (factory.repair) read_all(*open_store(environment));
    } catch (const Error&) {
    }
  }
  return 0;
}
