// file: the engine of our own. Everything in memory, every commit one append to a checksummed log that is on
// disk before anybody sees the commit; docs/backends/file.md says what to expect of it, docs/file-format.md
// what is on the disk. One process at a time has a folder open.
#pragma once

#include <memory>

#include "contract/url.h"
#include "holdfast/backend.h"

namespace holdfast {

class FileStore : public Backend {
 public:
  /// Replaces the logs of all lanes by checkpoints now, beside running calls. Throws what the file system
  /// throws; nothing is lost then.
  virtual void checkpoint() = 0;
};

/// Throws unavailable if another process has the folder open, corruption naming file and offset if something
/// that was acknowledged is damaged, invalid_argument if the folder holds anything else.
std::unique_ptr<FileStore> open_file_store(const Url& url, const Options& options,
                                           const Environment& environment);

/// "file:///folder" and "file:folder".
BackendFactory file_factory();

}  // namespace holdfast
