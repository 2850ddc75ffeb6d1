#include "cli/context.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "cli/exit.h"
#include "cli/input.h"
#include "cli/interrupt.h"

namespace holdfast::cli {
namespace {

bool is_terminal(int descriptor) {
  const char* term = std::getenv("TERM");
  return isatty(descriptor) == 1 && (term == nullptr || std::strcmp(term, "dumb") != 0);
}

OutputOptions output_options(bool json) {
  OutputOptions options;
  options.json = json;
  options.is_terminal = isatty(STDOUT_FILENO) == 1;
  const char* no_color = std::getenv("NO_COLOR");
  options.color = is_terminal(STDOUT_FILENO) && (no_color == nullptr || *no_color == '\0');
  if (winsize size{}; options.is_terminal && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0)
    options.width = size.ws_col;
  return options;
}

}  // namespace

Context::Context(Globals globals)
    : globals_(std::move(globals)),
      environment_(Environment{}.completed()),
      started_at_(environment_.clock->steady_now()),
      out_(stdout, output_options(globals_.json)) {}

const std::string& Context::url() const {
  if (globals_.store_url.empty()) {
    throw UsageError(
        "which store? give --store URL or set HOLDFAST_STORE, for example "
        "HOLDFAST_STORE=sqlite:data/store.db");
  }
  return globals_.store_url;
}

const std::string& Context::database_name() const {
  if (globals_.database.empty()) {
    throw UsageError("which database? give --db NAME or set HOLDFAST_DB; `holdfast db ls` lists them");
  }
  return globals_.database;
}

Store& Context::store() {
  if (!store_) {
    StoreOptions options;
    options.environment = environment_;
    options.sweeper = false;
    store_ = Store::open(url(), options);
  }
  return *store_;
}

Database Context::database() {
  // In this order: who forgets the name of the database has not made a store yet.
  static_cast<void>(url());
  const std::string& name = database_name();
  return store().database(name);
}

bool Context::shows_progress() const { return !globals_.json && is_terminal(STDERR_FILENO); }

std::int64_t Context::elapsed_ms() const {
  using std::chrono::milliseconds;
  return std::chrono::duration_cast<milliseconds>(environment_.clock->steady_now() - started_at_).count();
}

void Context::confirm(const std::string& question, bool is_yes_given) {
  if (is_yes_given) return;
  if (isatty(STDIN_FILENO) != 1)
    throw UsageError(question + " Say so with --yes: there is no terminal to ask on");
  std::fprintf(stderr, "%s Type yes to go on: ", question.c_str());
  std::fflush(stderr);
  Input terminal("-");
  std::string answer;
  for (char c = 0; terminal.read(&c, 1) == 1 && c != '\n';) answer += c;
  if (answer != "yes") throw Interrupted("nothing was done");
}

void Context::note(const std::string& text) {
  out_.flush();
  std::fprintf(stderr, "%s\n", text.c_str());
}

void Context::check_interrupt(const std::string& how_to_go_on) const {
  if (interrupted()) throw Interrupted(how_to_go_on);
}

void Context::end_at_once_when_interrupted(const std::string& how_to_go_on) const {
  cli::end_at_once_when_interrupted(
      complaint(globals_.json, "interrupted", how_to_go_on, "", kExitInterrupted));
  check_interrupt(how_to_go_on);
}

std::string url_of(const std::string& given) {
  if (!given.starts_with('@')) return given;
  std::string url = read_whole(given.substr(1), 1 << 16);
  while (!url.empty() && std::string(" \r\n\t").find(url.back()) != std::string::npos) url.pop_back();
  return url;
}

}  // namespace holdfast::cli
