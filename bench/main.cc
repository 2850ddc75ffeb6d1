#include <cstdlib>
#include <iostream>
#include <string>

#include "harness.h"

namespace {

constexpr const char* kHelp =
    "Measures Holdfast against its peers; ratios are medians of interleaved rounds.\n"
    "\n"
    "  holdfast_bench [--filter TEXT] [--rounds N] [--round-ms N] [--folder DIR]\n"
    "\n"
    "  --filter TEXT   only what has TEXT in its name (\"file:\", \"durable\")\n"
    "  --rounds N      rounds per case (default 5)\n"
    "  --round-ms N    length of a contender's turn in a round (default 1000)\n"
    "  --folder DIR    where results.json, results.md and results.svg go (default build/bench)\n"
    "\n"
    "Data goes to $HOLDFAST_BENCH_FOLDER (default build/bench/data): it has to be on the disk that is "
    "measured.\n";

}  // namespace

int main(int argc, char** argv) {
  holdfast::bench::RunOptions options;
  options.folder = "build/bench";
  for (int i = 1; i < argc; ++i) {
    const std::string option = argv[i];
    if (option == "--help" || option == "-h") {
      std::cout << kHelp;
      return 0;
    }
    if (i + 1 == argc) {
      std::cerr << "unknown option, or no value after it: " << option << "\n" << kHelp;
      return 2;
    }
    const std::string value = argv[++i];
    if (option == "--filter") {
      options.filter = value;
    } else if (option == "--rounds") {
      options.rounds = std::strtoul(value.c_str(), nullptr, 10);
    } else if (option == "--round-ms") {
      options.round = std::chrono::milliseconds(std::strtol(value.c_str(), nullptr, 10));
    } else if (option == "--folder") {
      options.folder = value;
    } else {
      std::cerr << "unknown option " << option << "\n" << kHelp;
      return 2;
    }
  }
  if (options.rounds == 0 || options.round.count() <= 0) {
    std::cerr << "--rounds and --round-ms take numbers from 1 on\n";
    return 2;
  }
  holdfast::bench::Suite suite;
  holdfast::bench::add_file_cases(suite);
  holdfast::bench::add_sqlite_cases(suite);
  holdfast::bench::add_postgres_cases(suite);
  holdfast::bench::add_redis_cases(suite);
  holdfast::bench::add_engine_cases(suite);
  holdfast::bench::add_service_cases(suite);
  holdfast::bench::add_queue_cases(suite);
  return holdfast::bench::run(suite, options, std::cout) ? 0 : 1;
}
