// Reads a checkpoint, block by block, and loads it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "backends/file/checkpoint_format.h"
#include "backends/file/contents.h"
#include "backends/file/file_table.h"
#include "backends/file/file_window.h"
#include "backends/file/recovery.h"

namespace holdfast::file {

/// The blocks of a checkpoint in order.
class CheckpointReader {
 public:
  struct Block {
    std::uint64_t number = 0;
    std::uint64_t offset = 0;
    View body;  ///< valid until the next call of the reader
    std::uint64_t body_offset() const { return offset + kFrameBytes; }
  };

  CheckpointReader(const File& file, const FileHeader& header) : window_(file), file_id_(header.file_id) {}
  /// The next block if it is intact; otherwise nothing, and the reader stays where it is.
  std::optional<Block> next();
  /// The first intact block behind a damaged one; the reader goes on behind it.
  std::optional<Block> find_later();
  std::uint64_t offset() const { return offset_; }
  bool at_end() const { return offset_ >= window_.size_bytes(); }

 private:
  std::optional<Block> block_at(std::uint64_t offset);
  void go_behind(const Block& block);

  FileWindow window_;
  const std::uint64_t file_id_;
  std::uint64_t offset_ = kHeaderBytes;
  std::uint64_t next_number_ = 0;
};

/// Brings the items of blocks into databases.
class CheckpointLoader {
 public:
  CheckpointLoader(Contents& contents, std::uint32_t file) : contents_(contents), file_(file) {}
  /// Throws corruption if the block is malformed.
  void load(const CheckpointReader::Block& block);
  const std::optional<CheckpointFooter>& footer() const { return footer_; }
  std::uint64_t entries() const { return entries_; }
  /// The database that the latest block ended with; null before the first.
  const Database* latest() const { return database_.get(); }

 private:
  /// Of the database that is being loaded.
  void load_item(Decoder& decoder, BlockItem item, const CheckpointReader::Block& block);
  void load_entry(Decoder& decoder, const CheckpointReader::Block& block);

  Contents& contents_;
  const std::uint32_t file_;
  std::shared_ptr<Database> database_;
  Bytes last_key_;  ///< of the present database
  std::uint64_t entries_ = 0;
  std::optional<CheckpointFooter> footer_;
};

/// Loads all of it. Throws corruption naming file and offset.
CheckpointFooter load_checkpoint(const OpenNumberedFile& checkpoint, Contents& contents, std::uint32_t file);

}  // namespace holdfast::file
