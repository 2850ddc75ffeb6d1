// The stores that the suites which cross the house run on: every backend and layer there is.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "holdfast/backend.h"
#include "holdfast/environment.h"

namespace holdfast::testing_support {

struct Target {
  std::string name;     ///< the URL, with "{}" for the folder
  bool cheap = false;   ///< commits cost no sync, so that many of them can be afforded
  bool shared = false;  ///< several processes may open it at once

  std::string url(const std::string& folder) const;
  /// Opens the store in `folder`: an empty folder gives a fresh store, a second call the same one again.
  std::unique_ptr<Backend> open(const std::string& folder, const Environment& environment) const;
  /// `name` as GoogleTest wants it.
  std::string test_name() const;
};

/// HOLDFAST_TARGETS=url,url restricts the list or names other stores.
std::vector<Target> targets();

/// A folder of its own, removed with everything in it at the end.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace holdfast::testing_support
