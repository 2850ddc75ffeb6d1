#include "backends/file/maintenance.h"

#include <algorithm>
#include <array>

#include "backends/file/checkpoint_writer.h"
#include "backends/file/format.h"
#include "backends/file/salvage.h"
#include "backends/file/superblock.h"
#include "holdfast/error.h"

namespace holdfast::file {
namespace {

/// What a folder is found to be.
struct Findings {
  Superblock superblock;
  bool superblock_is_damaged = false;
  std::vector<std::string> foreign;
  std::array<std::unique_ptr<Salvage>, kLanes> lanes;
  CheckReport report;
};

void read_superblock_into(Findings& findings, FileSystem& files, const std::string& folder) {
  try {
    if (has_superblock(files, folder)) {
      findings.superblock = read_superblock(files, folder);
      return;
    }
    findings.report.problems.push_back("\"" + join(folder, kSuperblockName) + "\" is missing");
  } catch (const Error& error) {
    if (error.code() != Code::corruption) throw;
    findings.report.problems.emplace_back(error.what());
  }
  findings.superblock_is_damaged = true;
  findings.superblock.store_id = guess_store_id(files, folder);
}

Findings examine(const std::string& folder, const Environment& environment) {
  FileSystem& files = *environment.files;
  Findings findings;
  CheckReport& report = findings.report;
  read_superblock_into(findings, files, folder);
  for (const std::string& name : files.list(folder)) {
    if (parse_file_name(name).kind != FileKind::foreign) continue;
    report.problems.push_back("\"" + join(folder, name) + "\" is not a file of the store");
    findings.foreign.push_back(name);
  }
  const std::string& boot_id = findings.superblock.buffered_boot_id;
  const bool lost_buffers = !boot_id.empty() && boot_id != files.boot_id();
  for (std::size_t lane = 0; lane < kLanes; ++lane) {
    findings.lanes[lane] = std::make_unique<Salvage>(files, folder, findings.superblock, lane, lost_buffers);
    const Salvage& salvage = *findings.lanes[lane];
    report.problems.insert(report.problems.end(), salvage.problems().begin(), salvage.problems().end());
    report.lost.insert(report.lost.end(), salvage.lost().begin(), salvage.lost().end());
    for (const std::shared_ptr<Database>& database : salvage.contents().databases()) {
      ++report.databases;
      report.entries += database->index().size();
      report.commits += database->head().seq;
    }
  }
  return findings;
}

void copy_file(FileSystem& files, const std::string& from, const std::string& to) {
  constexpr std::size_t kPieceBytes = 1u << 20;
  const std::unique_ptr<File> source = files.open(from, FileMode::read);
  if (files.exists(to)) files.remove(to);
  const std::unique_ptr<File> target = files.open(to, FileMode::create);
  Bytes piece(static_cast<std::size_t>(std::min<std::uint64_t>(source->size_bytes(), kPieceBytes)), '\0');
  for (std::uint64_t offset = 0;;) {
    const std::size_t got = source->read(offset, piece.data(), piece.size());
    if (got == 0) break;
    target->write(offset, View(piece).substr(0, got));
    offset += got;
  }
  target->sync();
}

/// Writes what was salvaged of a lane as its newest checkpoint, which makes all its other files superfluous.
void write_salvaged(const Salvage& salvage, const std::string& folder, std::uint64_t store_id,
                    std::size_t lane, const Environment& environment) {
  FileSystem& files = *environment.files;
  FileHeader header;
  header.type = FileHeader::Type::checkpoint;
  header.store_id = store_id;
  header.lane = static_cast<std::uint32_t>(lane);
  header.number = salvage.highest_checkpoint_number() + 1;
  header.file_id = environment.random->next();
  header.sequence = salvage.highest_sequence();
  header.superfluous_segment = salvage.highest_segment_number();
  const std::string temporary = join(folder, checkpoint_temporary_name(lane, header.number));
  if (files.exists(temporary)) files.remove(temporary);
  {
    const std::unique_ptr<File> file = files.open(temporary, FileMode::create);
    CheckpointWriter writer(*file, header);
    std::vector<MovedValue> moved;
    for (const std::shared_ptr<Database>& database : salvage.contents().databases()) {
      writer.add(*database, salvage.files(), moved);
    }
    writer.finish(header.sequence);
  }
  files.rename(temporary, join(folder, checkpoint_name(lane, header.number)));
  files.sync_folder(folder);
}

std::unique_ptr<FileLock> lock_folder(FileSystem& files, const std::string& folder) {
  const std::string path = join(folder, kLockName);
  // Without a lock file nobody has the folder open, and none is made: a check changes nothing.
  if (!files.exists(path)) return nullptr;
  return files.lock(path);
}

std::string new_damaged_folder(FileSystem& files, const std::string& folder) {
  std::uint64_t number = 1;
  while (files.exists(join(folder, kDamagedPrefix + std::to_string(number)))) ++number;
  const std::string path = join(folder, kDamagedPrefix + std::to_string(number));
  files.create_folder(path);
  return path;
}

}  // namespace

CheckReport check_folder(const std::string& folder, const Environment& environment) {
  const std::unique_ptr<FileLock> lock = lock_folder(*environment.files, folder);
  return examine(folder, environment).report;
}

CheckReport repair_folder(const std::string& folder, const Environment& environment) {
  FileSystem& files = *environment.files;
  const std::unique_ptr<FileLock> lock = files.lock(join(folder, kLockName));
  Findings findings = examine(folder, environment);
  if (findings.report.ok()) return findings.report;

  std::vector<std::string> aside = findings.foreign;
  if (findings.superblock_is_damaged && has_superblock(files, folder)) aside.emplace_back(kSuperblockName);
  for (const std::unique_ptr<Salvage>& lane : findings.lanes) {
    if (lane->problems().empty()) continue;
    aside.insert(aside.end(), lane->names().begin(), lane->names().end());
  }
  const std::string damaged = new_damaged_folder(files, folder);
  for (const std::string& name : aside) copy_file(files, join(folder, name), join(damaged, name));
  files.sync_folder(damaged);

  if (findings.superblock_is_damaged) {
    while (findings.superblock.store_id == 0) findings.superblock.store_id = environment.random->next();
    // It may have said that the newest commits were not synced. No boot has this id, so all histories change
    // when the store is opened.
    findings.superblock.buffered_boot_id = "unknown";
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      findings.superblock.newest_segments[lane] = findings.lanes[lane]->highest_segment_number();
    }
    write_superblock(files, folder, findings.superblock);
  }
  for (std::size_t lane = 0; lane < kLanes; ++lane) {
    Salvage& salvage = *findings.lanes[lane];
    if (salvage.problems().empty()) continue;
    const std::size_t known = salvage.lost().size();
    salvage.change_histories(*environment.random, environment.clock->now_ms());
    findings.report.lost.insert(findings.report.lost.end(),
                                salvage.lost().begin() + static_cast<std::ptrdiff_t>(known),
                                salvage.lost().end());
    write_salvaged(salvage, folder, findings.superblock.store_id, lane, environment);
  }
  for (const std::string& name : aside) {
    // A temporary file of an interrupted repair has become the new checkpoint by now.
    const bool is_there = name != kSuperblockName && files.exists(join(folder, name));
    if (is_there) files.remove(join(folder, name));
  }
  files.sync_folder(folder);
  return std::move(findings.report);
}

void remove_folder(const std::string& folder, const Environment& environment) {
  FileSystem& files = *environment.files;
  const std::unique_ptr<FileLock> lock = lock_folder(files, folder);
  // The superblock goes first: what is left after a crash is not taken for a store that lost some of its
  // files.
  if (has_superblock(files, folder)) files.remove(join(folder, kSuperblockName));
  files.sync_folder(folder);
  for (const std::string& name : files.list(folder)) {
    const FileKind kind = parse_file_name(name).kind;
    const bool stays = kind == FileKind::foreign || kind == FileKind::ignored || kind == FileKind::lock;
    if (!stays) files.remove(join(folder, name));
  }
  if (lock) files.remove(join(folder, kLockName));
  files.sync_folder(folder);
}

}  // namespace holdfast::file
