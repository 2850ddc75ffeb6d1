#include "backends/file/store_options.h"

#include "holdfast/error.h"

namespace holdfast::file {
namespace {

constexpr std::int64_t kKibibyte = 1024;
constexpr std::int64_t kMebibyte = 1024 * kKibibyte;
constexpr std::int64_t kGibibyte = 1024 * kMebibyte;

OptionSpec boolean(const char* name, const char* default_value, const char* help) {
  OptionSpec spec;
  spec.name = name;
  spec.kind = OptionSpec::Kind::boolean;
  spec.default_value = default_value;
  spec.help = help;
  return spec;
}

OptionSpec size(const char* name, std::int64_t default_value, std::int64_t minimum, std::int64_t maximum,
                const char* help) {
  OptionSpec spec;
  spec.name = name;
  spec.kind = OptionSpec::Kind::integer;
  spec.default_value = std::to_string(default_value);
  spec.help = help;
  spec.minimum = minimum;
  spec.maximum = maximum;
  return spec;
}

}  // namespace

std::vector<OptionSpec> option_specs() {
  return {
      boolean(
          "durable", "true",
          "every commit is on disk before it is acknowledged; with false it survives a killed process, but a "
          "power cut may lose the newest commits and then changes all histories"),
      size("checkpoint_size_bytes", 128 * kMebibyte, 64 * kKibibyte, 64 * kGibibyte,
           "log of one lane after which a checkpoint replaces it"),
      size("segment_size_bytes", 64 * kMebibyte, 64 * kKibibyte, kGibibyte,
           "size of the files that the log is kept in, filled with zeros ahead of use"),
      boolean("strict_deadlines", "false",
              "commits are written by a thread of the store's, so that none outlives its deadline even if it "
              "is the one in whose write the disk begins to hang; costs two thread switches per commit"),
  };
}

StoreOptions parse_options(const Url& url, const Options& options) {
  if (url.path.empty())
    throw Error(Code::invalid_argument, "file: needs a folder, as in file:///var/lib/app");
  StoreOptions parsed;
  parsed.folder = url.path;
  parsed.durable = options.boolean("durable");
  parsed.checkpoint_size_bytes = static_cast<std::uint64_t>(options.integer("checkpoint_size_bytes"));
  parsed.segment_size_bytes = static_cast<std::uint64_t>(options.integer("segment_size_bytes"));
  parsed.strict_deadlines = options.boolean("strict_deadlines");
  return parsed;
}

}  // namespace holdfast::file
