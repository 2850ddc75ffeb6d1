// A folder with a store, and the program to run on it.
#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "cli/exit.h"
#include "e2e/program.h"
#include "holdfast/error.h"
#include "support/targets.h"

namespace holdfast::e2e {

using Json = nlohmann::json;

class Cli : public testing::Test {
 protected:
  Ended run(const std::vector<std::string>& words, const std::string& input = "") {
    return start(words, input).wait();
  }

  /// Runs a command that has to succeed; its output.
  std::string output(const std::vector<std::string>& words, const std::string& input = "") {
    const Ended ended = run(words, input);
    EXPECT_EQ(ended.exit, 0) << ended.err;
    return ended.out;
  }

  /// Runs a command with --json that has to succeed; an object for each line.
  std::vector<Json> rows(std::vector<std::string> words) {
    words.push_back("--json");
    std::istringstream lines(output(words));
    std::vector<Json> found;
    for (std::string line; std::getline(lines, line);) found.push_back(Json::parse(line));
    return found;
  }

  Program start(const std::vector<std::string>& words, const std::string& input = "") {
    return Program(folder_.path(), words, settings_, input);
  }

  /// With a pipe for its standard input, which the test holds.
  Program start_piped(const std::vector<std::string>& words) {
    return Program(folder_.path(), words, settings_, Program::Piped{});
  }

  void write_file(const std::string& name, const std::string& content) {
    std::ofstream(path(name), std::ios::binary) << content;
  }
  std::string file(const std::string& name) const {
    std::ifstream stream(path(name), std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
  }
  std::string path(const std::string& name) const { return folder_.path() + "/" + name; }

  /// `code` was reported with its exit code, name, and `part` of its message.
  static void expect_error(const Ended& ended, Code code, const std::string& part) {
    EXPECT_EQ(ended.exit, cli::exit_code(code)) << ended.err;
    EXPECT_NE(ended.err.find(std::string("holdfast: ") + name(code) + ": "), std::string::npos) << ended.err;
    EXPECT_NE(ended.err.find(part), std::string::npos) << ended.err;
  }
  static void expect_usage(const Ended& ended, const std::string& part) {
    EXPECT_EQ(ended.exit, cli::kExitUsage) << ended.err;
    EXPECT_EQ(ended.out, "");
    EXPECT_NE(ended.err.find(part), std::string::npos) << ended.err;
  }

  testing_support::TemporaryFolder folder_;
  Program::Settings settings_ = {{"HOLDFAST_STORE", "sqlite:store.db"}, {"HOLDFAST_DB", "agents"}};
};

}  // namespace holdfast::e2e
