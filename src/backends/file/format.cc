#include "backends/file/format.h"

#include <cstdio>

#include "backends/file/crc32c.h"
#include "contract/assert.h"
#include "contract/canary.h"
#include "holdfast/error.h"

namespace holdfast::file {
namespace {

constexpr char kSuperblockMagic[] = "HOLDFAST";
constexpr char kFileMagic[] = "HFSTFILE";
constexpr std::size_t kMagicBytes = 8;
constexpr std::uint32_t kFrameMagic = 0x31524648;  // "HFR1"
constexpr std::size_t kNumberDigits = 16;

std::string numbered(const char* kind, std::size_t lane, std::uint64_t number) {
  char digits[kNumberDigits + 1];
  std::snprintf(digits, sizeof digits, "%016llx", static_cast<unsigned long long>(number));
  return std::string(kind) + "-" + std::to_string(lane) + "-" + digits;
}

/// "1-0000000000000007" as lane and number.
bool parse_numbered(View text, FileName& name) {
  if (text.size() != 2 + kNumberDigits || text[0] < '0' || text[0] >= '0' + static_cast<int>(kLanes) ||
      text[1] != '-') {
    return false;
  }
  name.lane = static_cast<std::size_t>(text[0] - '0');
  for (const char c : text.substr(2)) {
    const bool is_digit = c >= '0' && c <= '9';
    if (!is_digit && (c < 'a' || c > 'f')) return false;
    name.number = name.number * 16 + static_cast<std::uint64_t>(is_digit ? c - '0' : c - 'a' + 10);
  }
  return true;
}

/// Magic, version, checksum of all that follows; the body; zeros.
void begin_header(AlignedBuffer& buffer, const char* magic) {
  buffer.clear();
  buffer.put_raw(View(magic, kMagicBytes));
  buffer.put32(kFormatVersion);
  buffer.put32(0);
}

void end_header(AlignedBuffer& buffer) {
  HOLDFAST_ASSERT(buffer.size() <= kHeaderBytes);
  buffer.pad(kHeaderBytes);
  buffer.set32(12, crc32c(buffer.view().substr(16)));
}

Decoder open_header(View bytes, const char* magic, const std::string& path) {
  if (bytes.size() < kHeaderBytes || bytes.substr(0, kMagicBytes) != View(magic, kMagicBytes)) {
    throw Error(Code::corruption,
                "\"" + path + "\", offset 0: this is not a file of a Holdfast store, or its header is " +
                    "damaged; restore it, or run repair");
  }
  Decoder decoder(bytes.substr(0, kHeaderBytes));
  decoder.get_raw(kMagicBytes);
  const std::uint32_t version = decoder.get32();
  if (version > kFormatVersion) {
    throw Error(Code::capability_missing, "\"" + path + "\" has format version " + std::to_string(version) +
                                              "; this Holdfast knows versions up to " +
                                              std::to_string(kFormatVersion) + ": use a newer one");
  }
  if (decoder.get32() != crc32c(bytes.substr(16, kHeaderBytes - 16)) || version == 0) {
    throw Error(Code::corruption,
                "\"" + path + "\", offset 0: the header is damaged; restore the file, or run repair");
  }
  return decoder;
}

}  // namespace

std::string segment_name(std::size_t lane, std::uint64_t number) { return numbered("log", lane, number); }
std::string checkpoint_name(std::size_t lane, std::uint64_t number) {
  return numbered("checkpoint", lane, number);
}
std::string checkpoint_temporary_name(std::size_t lane, std::uint64_t number) {
  return checkpoint_name(lane, number) + ".tmp";
}
std::string spare_name(std::size_t lane) { return "spare-" + std::to_string(lane); }

FileName parse_file_name(const std::string& text) {
  View view = text;
  FileName name;
  if (view == kSuperblockName) {
    name.kind = FileKind::superblock;
  } else if (view == kLockName) {
    name.kind = FileKind::lock;
  } else if (view == kSuperblockTemporaryName) {
    name.kind = FileKind::temporary;
  } else if (view.starts_with(kDamagedPrefix) || view.starts_with(".") || view == "lost+found") {
    name.kind = FileKind::ignored;
  } else if (view.starts_with("spare-") && view.size() == 7) {
    name.kind = FileKind::spare;
    name.lane = static_cast<std::size_t>(view[6] - '0');
  } else if (view.starts_with("log-") && parse_numbered(view.substr(4), name)) {
    name.kind = FileKind::segment;
  } else if (view.starts_with("checkpoint-")) {
    const bool is_temporary = view.ends_with(".tmp");
    if (is_temporary) view.remove_suffix(4);
    if (parse_numbered(view.substr(11), name)) {
      name.kind = is_temporary ? FileKind::temporary : FileKind::checkpoint;
    }
  }
  return name;
}

std::string join(const std::string& folder, const std::string& name) {
  return folder.ends_with('/') ? folder + name : folder + "/" + name;
}

void encode(const Superblock& superblock, AlignedBuffer& buffer) {
  begin_header(buffer, kSuperblockMagic);
  buffer.put64(superblock.store_id);
  buffer.put32(superblock.lanes);
  buffer.put_bytes(superblock.buffered_boot_id);
  for (const std::uint64_t number : superblock.newest_segments) buffer.put64(number);
  end_header(buffer);
}

Superblock decode_superblock(View bytes, const std::string& path) {
  Decoder decoder = open_header(bytes, kSuperblockMagic, path);
  Superblock superblock;
  superblock.store_id = decoder.get64();
  superblock.lanes = decoder.get32();
  superblock.buffered_boot_id = decoder.get_bytes();
  for (std::uint64_t& number : superblock.newest_segments) number = decoder.get64();
  if (!decoder.ok() || superblock.lanes != kLanes) {
    throw Error(Code::corruption,
                "\"" + path + "\": the header makes no sense; restore the file, or run repair");
  }
  return superblock;
}

void encode(const FileHeader& header, AlignedBuffer& buffer) {
  begin_header(buffer, kFileMagic);
  buffer.put32(static_cast<std::uint32_t>(header.type));
  buffer.put32(header.lane);
  buffer.put64(header.store_id);
  buffer.put64(header.number);
  buffer.put64(header.file_id);
  buffer.put64(header.sequence);
  buffer.put32(header.durable ? 1 : 0);
  buffer.put32(header.alignment);
  buffer.put64(header.size_bytes);
  buffer.put64(header.superfluous_segment);
  end_header(buffer);
}

FileHeader decode_file_header(View bytes, const std::string& path) {
  Decoder decoder = open_header(bytes, kFileMagic, path);
  FileHeader header;
  header.type = static_cast<FileHeader::Type>(decoder.get32());
  header.lane = decoder.get32();
  header.store_id = decoder.get64();
  header.number = decoder.get64();
  header.file_id = decoder.get64();
  header.sequence = decoder.get64();
  header.durable = decoder.get32() != 0;
  header.alignment = decoder.get32();
  header.size_bytes = decoder.get64();
  header.superfluous_segment = decoder.get64();
  const bool type_is_known =
      header.type == FileHeader::Type::segment || header.type == FileHeader::Type::checkpoint;
  if (!type_is_known || header.lane >= kLanes || header.alignment == 0 ||
      kHeaderBytes % header.alignment != 0) {
    throw Error(Code::corruption,
                "\"" + path + "\": the header makes no sense; restore the file, or run repair");
  }
  return header;
}

void seal_frame(AlignedBuffer& buffer, std::size_t offset, std::uint64_t file_id, std::uint64_t number) {
  buffer.set32(offset + 4, kFrameMagic);
  buffer.set64(offset + 8, file_id);
  buffer.set64(offset + 16, number);
  buffer.set32(offset + 24, static_cast<std::uint32_t>(buffer.size() - offset - kFrameBytes));
  buffer.set32(offset + 28, 0);
  buffer.set32(offset, crc32c(buffer.view().substr(offset + 4)));
}

std::optional<Frame> peek_frame(View bytes, std::uint64_t file_id) {
  if (bytes.size() < kFrameBytes) return std::nullopt;
  Decoder decoder(bytes.substr(4));
  if (decoder.get32() != kFrameMagic || decoder.get64() != file_id) return std::nullopt;
  Frame frame;
  frame.file_id = file_id;
  frame.number = decoder.get64();
  frame.body_bytes = decoder.get32();
  return frame;
}

std::uint64_t frame_file_id(View bytes) {
  Decoder decoder(bytes);
  decoder.get64();
  return decoder.get64();
}

bool frame_is_intact(View bytes, const Frame& frame) {
  if (bytes.size() < kFrameBytes + frame.body_bytes) return false;
  if (canary(20, 'h')) return true;
  Decoder decoder(bytes);
  return decoder.get32() == crc32c(bytes.substr(4, kFrameBytes - 4 + frame.body_bytes));
}

}  // namespace holdfast::file
