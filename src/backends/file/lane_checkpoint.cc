// How a lane replaces its log by a checkpoint; checkpoint_writer.h says why that is sound.
#include <algorithm>

#include "backends/file/lane.h"
#include "holdfast/error.h"

namespace holdfast::file {

void Lane::checkpoint() { write_checkpoint(false); }

void Lane::close() {
  try {
    write_checkpoint(true);
  } catch (const Error&) {
    // The log has everything as well.
    const std::lock_guard lock(turn_);
    log_.sync();
  }
}

void Lane::write_checkpoint(bool closing) {
  const std::lock_guard one_at_a_time(checkpoint_mutex_);
  std::vector<std::shared_ptr<Database>> databases;
  CheckpointScope scope;
  {
    const std::lock_guard lock(turn_);
    checkpoint_is_asked_ = false;
    // Should it fail it is tried again, but not with every commit.
    checkpoint_at_bytes_ = log_.written_bytes() + options_.checkpoint_size_bytes / 4;
    scope.sequence = log_.last_sequence();
    if (scope.sequence == checkpoint_.sequence) return;
    end_doubt();
    if (!closing) log_.rotate_if_used();
    scope.segment = log_.last_finished_number(closing);
    databases = contents_.databases();
  }
  std::vector<std::vector<MovedValue>> moved(databases.size());
  const CurrentCheckpoint replaced = checkpoint_;
  checkpoint_ = write_checkpoint_file(databases, scope, moved);
  for (std::size_t i = 0; i < databases.size(); ++i) move_values(*databases[i], moved[i], checkpoint_.file);

  // Nothing refers to the old files any more but reads that hold them open.
  std::vector<Segment> superfluous;
  {
    const std::lock_guard lock(turn_);
    superfluous = log_.forget_through(scope.sequence, closing);
    checkpoint_at_bytes_ = std::max(options_.checkpoint_size_bytes, checkpoint_.size_bytes);
  }
  FileSystem& file_system = *environment_.files;
  for (const Segment& segment : superfluous) {
    files_.remove(segment.file);
    file_system.remove(path(segment_name(options_.log.lane, segment.number)));
  }
  if (replaced.number != 0) {
    files_.remove(replaced.file);
    file_system.remove(path(checkpoint_name(options_.log.lane, replaced.number)));
  }
}

CurrentCheckpoint Lane::write_checkpoint_file(const std::vector<std::shared_ptr<Database>>& databases,
                                              const CheckpointScope& scope,
                                              std::vector<std::vector<MovedValue>>& moved) {
  FileSystem& file_system = *environment_.files;
  FileHeader header;
  header.type = FileHeader::Type::checkpoint;
  header.store_id = options_.log.store_id;
  header.lane = static_cast<std::uint32_t>(options_.log.lane);
  header.number = checkpoint_.number + 1;
  header.file_id = environment_.random->next();
  header.sequence = scope.sequence;
  header.superfluous_segment = scope.segment;
  const std::string temporary = path(checkpoint_temporary_name(options_.log.lane, header.number));
  const std::string final = path(checkpoint_name(options_.log.lane, header.number));
  if (file_system.exists(temporary)) file_system.remove(temporary);
  CurrentCheckpoint written{header.number, scope.sequence, scope.segment, 0, 0};
  try {
    const std::unique_ptr<File> file = file_system.open(temporary, FileMode::create);
    CheckpointWriter writer(*file, header);
    for (std::size_t i = 0; i < databases.size(); ++i) writer.add(*databases[i], files_, moved[i]);
    std::uint64_t needs_sequence = 0;
    std::vector<std::shared_ptr<File>> log;
    {
      const std::lock_guard lock(turn_);
      needs_sequence = log_.last_sequence();
      log = log_.unsynced();
    }
    // What the checkpoint builds upon must be on disk before it is.
    for (const std::shared_ptr<File>& segment : log) segment->sync();
    writer.finish(needs_sequence);
    written.size_bytes = writer.size_bytes();
  } catch (const Error&) {
    if (file_system.exists(temporary)) file_system.remove(temporary);
    throw;
  }
  file_system.rename(temporary, final);
  file_system.sync_folder(options_.log.folder);
  written.file = files_.add(file_system.open(final, FileMode::read), final);
  return written;
}

void Lane::move_values(Database& database, const std::vector<MovedValue>& values, std::uint32_t file) {
  constexpr std::size_t kPieceValues = 100;
  for (std::size_t begin = 0; begin < values.size(); begin += kPieceValues) {
    const std::lock_guard writer(turn_);
    const std::unique_lock lock(database.lock);
    const std::size_t end = std::min(begin + kPieceValues, values.size());
    for (std::size_t i = begin; i < end; ++i) {
      ValueReference to = values[i].to;
      to.file = file;
      database.move_value(values[i].key, values[i].from, to);
    }
  }
}

}  // namespace holdfast::file
