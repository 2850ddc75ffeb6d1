#include "backends/redis/functions.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <cstdio>

namespace holdfast::redis {
namespace {

struct Function {
  View name;
  View callback;
  bool when_full;  ///< runs also when the server's memory is used up
};
constexpr Function kFunctions[] = {{"get", "get", true},         {"read", "read", true},
                                   {"commit", "commit", false},  {"commit_erases", "commit", true},
                                   {"changes", "changes", true}, {"adopt", "adopt", true},
                                   {"compact", "compact", true}, {"fence", "fence", true},
                                   {"drop", "drop", true},       {"expired", "expired", true},
                                   {"probe", "probe", true}};

const std::string& source() {
  static const std::string kText = std::string(shared_functions()) + "\n" + std::string(reading_functions()) +
                                   "\n" + std::string(committing_functions()) + "\n" +
                                   std::string(keeping_functions());
  return kText;
}

std::string make_version() {
  char digits[17];
  std::snprintf(digits, sizeof(digits), "%016llx",
                static_cast<unsigned long long>(XXH3_64bits(source().data(), source().size())));
  return std::string(digits, 8);
}

}  // namespace

const std::string& library_name() {
  static const std::string kName = "holdfast_" + make_version();
  return kName;
}

std::string function_name(View function) { return library_name() + "_" + std::string(function); }

std::string library_source() {
  std::string text = "#!lua name=" + library_name() + "\n" + source();
  // None is declared as reading only: a server that has become a replica refuses all of them, and answers
  // nothing stale.
  for (const Function& function : kFunctions) {
    text += "redis.register_function{function_name='" + function_name(function.name) +
            "', callback=prepared(" + Bytes(function.callback) + ")" +
            (function.when_full ? ", flags={'allow-oom'}" : "") + "}\n";
  }
  return text;
}

}  // namespace holdfast::redis
