// Names and headers of the files of a store; docs/file-format.md has the drawing. What every file begins
// with, and what a record or block is framed with, is decided here and nowhere else.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "backends/file/aligned_buffer.h"
#include "holdfast/types.h"

namespace holdfast::file {

inline constexpr std::uint32_t kFormatVersion = 2;
inline constexpr std::size_t kLanes = 4;
/// Every file begins with a header of this size.
inline constexpr std::size_t kHeaderBytes = 4096;
/// Records of a durable log begin at multiples of this, so that a torn write never touches an acknowledged
/// one.
inline constexpr std::size_t kDurableAlignment = 4096;
inline constexpr std::size_t kBufferedAlignment = 8;
/// What a record of a log or a block of a checkpoint begins with.
inline constexpr std::size_t kFrameBytes = 32;

inline constexpr char kSuperblockName[] = "STORE";
inline constexpr char kSuperblockTemporaryName[] = "STORE.tmp";
inline constexpr char kLockName[] = "LOCK";
inline constexpr char kDamagedPrefix[] = "damaged-";

enum class FileKind : std::uint8_t {
  segment,
  checkpoint,
  spare,
  temporary,
  superblock,
  lock,
  ignored,
  foreign
};

struct FileName {
  FileKind kind = FileKind::foreign;
  std::size_t lane = 0;
  std::uint64_t number = 0;
};

/// "log-2-0000000000000007": the seventh segment of lane 2.
std::string segment_name(std::size_t lane, std::uint64_t number);
/// "checkpoint-2-0000000000000003", and the same with ".tmp" while it is being written.
std::string checkpoint_name(std::size_t lane, std::uint64_t number);
std::string checkpoint_temporary_name(std::size_t lane, std::uint64_t number);
/// "spare-2": the next segment of lane 2, being filled with zeros.
std::string spare_name(std::size_t lane);
FileName parse_file_name(const std::string& name);
/// "folder/name".
std::string join(const std::string& folder, const std::string& name);

/// The file STORE: what the folder is.
struct Superblock {
  std::uint64_t store_id = 0;
  std::uint32_t lanes = kLanes;
  /// The boot id under which the store is, or was last, written without syncs; empty when all is on disk.
  std::string buffered_boot_id;
  /// By lane: the number of the newest segment that may hold records. 0: not known (version 1), or none.
  std::array<std::uint64_t, kLanes> newest_segments{};
};

/// The first block of a segment or checkpoint.
struct FileHeader {
  enum class Type : std::uint32_t { segment = 1, checkpoint = 2 };
  Type type = Type::segment;
  std::uint64_t store_id = 0;
  std::uint32_t lane = 0;
  std::uint64_t number = 0;   ///< as in the file's name
  std::uint64_t file_id = 0;  ///< random; every record or block repeats it
  /// Segments: the lane sequence of the first record; records of that number or above in earlier segments are
  /// void. Checkpoints: the lane sequence after which the log must be replayed.
  std::uint64_t sequence = 0;
  bool durable = true;  ///< segments: every record was on disk before the next one was written
  std::uint32_t alignment = kDurableAlignment;
  /// Segments: the file has at least this size, or somebody has cut it. 0: not known (version 1), or it
  /// grows.
  std::uint64_t size_bytes = 0;
  /// Checkpoints: the newest segment that is not needed any more. 0: not known (version 1), or none.
  std::uint64_t superfluous_segment = 0;
};

void encode(const Superblock& superblock, AlignedBuffer& buffer);
void encode(const FileHeader& header, AlignedBuffer& buffer);
/// `path` is for the message. Throw corruption, or capability_missing for a format of a newer version.
Superblock decode_superblock(View bytes, const std::string& path);
FileHeader decode_file_header(View bytes, const std::string& path);

/// What a record of a log (number: the lane sequence) or a block of a checkpoint (number: 0, 1, 2 ...) begins
/// with.
struct Frame {
  std::uint64_t file_id = 0;
  std::uint64_t number = 0;
  std::uint32_t body_bytes = 0;
};

/// Fills in the frame of the record that begins at `offset` of `buffer` and ends with it.
void seal_frame(AlignedBuffer& buffer, std::size_t offset, std::uint64_t file_id, std::uint64_t number);
/// The frame at the beginning of `bytes` if there is one of this file; nothing is said about its body.
std::optional<Frame> peek_frame(View bytes, std::uint64_t file_id);
/// The file that the bytes say they are a frame of, if they are one.
std::uint64_t frame_file_id(View bytes);
/// Whether frame and body match the checksum; `bytes` begins with the frame and holds the whole body.
bool frame_is_intact(View bytes, const Frame& frame);

}  // namespace holdfast::file
