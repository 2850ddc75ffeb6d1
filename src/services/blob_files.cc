#include "services/blob_files.h"

#include <utility>

#include "holdfast/error.h"

namespace holdfast {
namespace {

constexpr std::size_t kFilePieceBytes = std::size_t{1} << 20;
/// Others that write the same file at once, or were interrupted.
constexpr int kPartsMax = 1'000;

std::string folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace

ByteSource file_source(std::shared_ptr<File> file) {
  return [file = std::move(file), at = std::uint64_t{0}]() mutable {
    Bytes piece(kFilePieceBytes, '\0');
    piece.resize(file->read(at, piece.data(), piece.size()));
    at += piece.size();
    return piece;
  };
}

FileReplacement::FileReplacement(FileSystem& files, const std::string& path) : files_(files), path_(path) {
  for (int i = 0; file_ == nullptr; ++i) {
    part_path_ = path + "." + std::to_string(i) + ".part";
    try {
      file_ = files_.open(part_path_, FileMode::create);
    } catch (const Error& error) {
      if (error.code() != Code::already_exists || i == kPartsMax) throw;
    }
  }
}

FileReplacement::~FileReplacement() {
  if (file_ == nullptr) return;
  file_.reset();
  try {
    files_.remove(part_path_);
  } catch (const Error&) {
    // What is in the way is more interesting than what is left.
  }
}

void FileReplacement::add(View bytes) {
  file_->write(size_bytes_, bytes);
  size_bytes_ += bytes.size();
}

void FileReplacement::put_in_place() {
  file_->sync();
  files_.rename(part_path_, path_);
  file_.reset();
  files_.sync_folder(folder_of(path_));
}

}  // namespace holdfast
