// The options of a file: URL.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "contract/url.h"

namespace holdfast::file {

struct StoreOptions {
  std::string folder;
  bool durable = true;
  std::uint64_t checkpoint_size_bytes = 0;
  std::uint64_t segment_size_bytes = 0;
  bool strict_deadlines = false;
};

std::vector<OptionSpec> option_specs();
/// Throws invalid_argument for a URL without a folder.
StoreOptions parse_options(const Url& url, const Options& options);

}  // namespace holdfast::file
