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
  /// The URL, with "{}" for a folder, "{name}" for the last part of its path and "{HOLDFAST_TEST_...}" for
  /// what follows the scheme in the URL of a server, which that variable of the environment holds.
  std::string name;
  bool cheap = false;   ///< commits cost no sync, so that many of them can be afforded
  bool shared = false;  ///< several processes may open it at once

  /// Throws if a variable is not set: a suite that finds no server fails.
  std::string url(const std::string& folder) const;
  /// Opens the store in `folder`: an empty folder gives a fresh store, a second call the same one again.
  std::unique_ptr<Backend> open(const std::string& folder, const Environment& environment) const;
  /// Whether a store that is closed and opened again holds what it held.
  bool keeps_data() const;
  /// `name` as GoogleTest wants it.
  std::string test_name() const;
};

/// HOLDFAST_TARGETS=target,target restricts the list (by `name` or test_name()) or names other stores by
/// their URLs.
std::vector<Target> targets();

/// A folder of its own, removed with everything in it at the end. A store that a server keeps for it stays
/// until the server goes.
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
