#include "backends/file/superblock.h"

#include "holdfast/error.h"

namespace holdfast::file {

bool has_superblock(FileSystem& files, const std::string& folder) {
  return files.exists(join(folder, kSuperblockName));
}

Superblock read_superblock(FileSystem& files, const std::string& folder) {
  const std::string path = join(folder, kSuperblockName);
  const std::unique_ptr<File> file = files.open(path, FileMode::read);
  Bytes block(kHeaderBytes, '\0');
  block.resize(file->read(0, block.data(), block.size()));
  return decode_superblock(block, path);
}

void write_superblock(FileSystem& files, const std::string& folder, const Superblock& superblock) {
  const std::string temporary = join(folder, kSuperblockTemporaryName);
  if (files.exists(temporary)) files.remove(temporary);
  AlignedBuffer block;
  encode(superblock, block);
  {
    const std::unique_ptr<File> file = files.open(temporary, FileMode::create);
    file->write(0, block.view());
    file->sync();
  }
  files.rename(temporary, join(folder, kSuperblockName));
  files.sync_folder(folder);
}

Superblock create_superblock(FileSystem& files, const std::string& folder, Random& random) {
  for (const std::string& text : files.list(folder)) {
    const FileKind kind = parse_file_name(text).kind;
    if (kind == FileKind::segment || kind == FileKind::checkpoint) {
      throw Error(Code::corruption, "\"" + folder + "\" has files of a store but no file \"" +
                                        kSuperblockName + "\"; restore it, or run repair");
    }
    if (kind == FileKind::foreign) {
      throw Error(Code::invalid_argument, "\"" + folder + "\" is not empty and not a store (there is \"" +
                                              text + "\"); give the store a folder of its own");
    }
  }
  Superblock superblock;
  superblock.store_id = random.next();
  write_superblock(files, folder, superblock);
  return superblock;
}

}  // namespace holdfast::file
