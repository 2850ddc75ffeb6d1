// What a crash suite needs to know of the backend that it breaks.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "contract/url.h"
#include "holdfast/backend.h"
#include "holdfast/environment.h"

namespace holdfast::faults {

/// A backend over the injected file system.
struct CrashTarget {
  /// The folder that it keeps everything in.
  std::string folder;
  std::function<std::unique_ptr<Backend>(const Environment&, bool durable)> open;
  /// These may be empty.
  std::function<CheckReport(const Environment&)> check;
  std::function<CheckReport(const Environment&)> repair;
};

}  // namespace holdfast::faults
