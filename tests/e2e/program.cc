#include "e2e/program.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <thread>

namespace holdfast::e2e {
namespace {

std::string content(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string file_name(const std::string& folder, const char* what) {
  static std::atomic<int> count{0};
  return folder + "/." + what + std::to_string(count++);
}

}  // namespace

Program::Program(const std::string& folder, const std::vector<std::string>& words, const Settings& settings,
                 const std::string& input)
    : out_path_(file_name(folder, "out")), err_path_(file_name(folder, "err")) {
  const std::string in_path = file_name(folder, "in");
  std::ofstream(in_path, std::ios::binary) << input;
  const int in = open(in_path.c_str(), O_RDONLY | O_CLOEXEC);
  start(folder, words, settings, in);
  close(in);
}

Program::Program(const std::string& folder, const std::vector<std::string>& words, const Settings& settings,
                 Piped)
    : out_path_(file_name(folder, "out")), err_path_(file_name(folder, "err")) {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) throw std::runtime_error("no pipe");
  pipe_read_ = ends[0];
  pipe_write_ = ends[1];
  start(folder, words, settings, pipe_read_);
}

void Program::start(const std::string& folder, const std::vector<std::string>& words,
                    const Settings& settings, int in) {
  std::vector<std::string> strings = {HOLDFAST_PROGRAM};
  strings.insert(strings.end(), words.begin(), words.end());
  std::vector<char*> arguments;
  for (std::string& word : strings) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  std::vector<std::string> variables;
  for (const auto& [name, value] : settings) variables.push_back(name + "=" + value);
  std::vector<char*> environment;
  for (std::string& variable : variables) environment.push_back(variable.data());
  environment.push_back(nullptr);

  pid_ = fork();
  if (pid_ < 0) throw std::runtime_error("fork failed");
  if (pid_ != 0) return;
  const int out = open(out_path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  const int err = open(err_path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  const bool is_ready =
      dup2(in, 0) == 0 && dup2(out, 1) == 1 && dup2(err, 2) == 2 && chdir(folder.c_str()) == 0;
  if (is_ready) execve(HOLDFAST_PROGRAM, arguments.data(), environment.data());
  _exit(127);
}

Program::~Program() {
  end_input();
  if (pipe_read_ >= 0) close(pipe_read_);
  if (is_reaped_) return;
  send(SIGKILL);
  waitpid(pid_, &status_, 0);
}

void Program::feed(const std::string& bytes) {
  for (std::size_t at = 0; at < bytes.size();) {
    const ssize_t size = write(pipe_write_, bytes.data() + at, bytes.size() - at);
    if (size < 0) throw std::runtime_error("the pipe cannot be written to");
    at += static_cast<std::size_t>(size);
  }
  const auto end = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  for (int waiting = 1; waiting > 0;) {
    if (std::chrono::steady_clock::now() >= end || !runs() || ioctl(pipe_read_, FIONREAD, &waiting) != 0)
      throw std::runtime_error("it reads no more");
    if (waiting > 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

void Program::end_input() {
  if (pipe_write_ >= 0) close(pipe_write_);
  pipe_write_ = -1;
}

void Program::send(int signal) const {
  if (!is_reaped_) kill(pid_, signal);
}

bool Program::runs() {
  if (!is_reaped_ && waitpid(pid_, &status_, WNOHANG) == pid_) is_reaped_ = true;
  return !is_reaped_;
}

Ended Program::wait() {
  const auto end = std::chrono::steady_clock::now() + std::chrono::minutes(5);
  while (runs() && std::chrono::steady_clock::now() < end) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  if (!is_reaped_) {
    send(SIGKILL);
    waitpid(pid_, &status_, 0);
  }
  is_reaped_ = true;
  Ended ended;
  ended.exit = WIFEXITED(status_) ? WEXITSTATUS(status_) : -1;
  ended.signal = WIFSIGNALED(status_) ? WTERMSIG(status_) : 0;
  ended.out = content(out_path_);
  ended.err = content(err_path_);
  return ended;
}

std::string Program::out_so_far() const { return content(out_path_); }
std::string Program::err_so_far() const { return content(err_path_); }

bool Program::wait_for_output(const std::string& text) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  while (std::chrono::steady_clock::now() < end) {
    const bool is_running = runs();
    if (out_so_far().find(text) != std::string::npos) return true;
    if (!is_running) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return false;
}

}  // namespace holdfast::e2e
