// Runs the built program `holdfast` as a child process.
#pragma once

#include <sys/types.h>

#include <map>
#include <string>
#include <vector>

namespace holdfast::e2e {

struct Ended {
  int exit = -1;    ///< the exit code; -1 if a signal ended it
  int signal = 0;   ///< that ended it
  std::string out;  ///< its standard output
  std::string err;  ///< its standard error output
};

/// A program that runs. Its output goes to files, so that nobody has to read it meanwhile.
class Program {
 public:
  using Settings = std::map<std::string, std::string>;

  /// Starts `holdfast words...` in `folder` with nothing in its environment but `settings`, and `input` on
  /// its standard input.
  Program(const std::string& folder, const std::vector<std::string>& words, const Settings& settings = {},
          const std::string& input = "");
  /// The same with a pipe for its standard input, which feed() writes to and end_input() closes.
  struct Piped {};
  Program(const std::string& folder, const std::vector<std::string>& words, const Settings& settings, Piped);
  /// Kills it if it still runs.
  ~Program();
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  /// Returns when the program has read all of it. Throws if it ends, or has not after a minute.
  void feed(const std::string& bytes);
  void end_input();
  void send(int signal) const;
  /// Kills it if it has not ended after five minutes.
  Ended wait();
  /// What it has printed so far.
  std::string out_so_far() const;
  std::string err_so_far() const;
  /// Waits until its output contains `text`; false if it ended or a minute passed before.
  bool wait_for_output(const std::string& text);
  bool runs();

 private:
  void start(const std::string& folder, const std::vector<std::string>& words, const Settings& settings,
             int in);

  const std::string out_path_;
  const std::string err_path_;
  pid_t pid_ = -1;
  bool is_reaped_ = false;
  int status_ = 0;
  int pipe_read_ = -1;  ///< kept open, so that feeding a program that has ended is no signal
  int pipe_write_ = -1;
};

}  // namespace holdfast::e2e
