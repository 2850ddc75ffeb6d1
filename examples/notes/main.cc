// notes: a notebook on the command line, and an example of what a program with a Holdfast store looks like.

#include <holdfast/store.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <csignal>
#include <ctime>
#include <filesystem>
#include <iomanip>
#include <iostream>
#include <map>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "notebook.h"

namespace {

constexpr const char* kDefaultStore = "sqlite:data/notes.db";

constexpr const char* kHelp = R"(notes - a notebook in a Holdfast store

usage: notes [--store URL] [--notebook NAME] [COMMAND]

commands:
  add [--for TIME] TEXT...  add a note; with --for 10s, 5m, 2h or 3d it is gone after that time
  import                    add each line of the standard input as a note
  list [AFTER-ID]           the notes, 100 at a time
  show ID                   one note
  search WORD...            the notes that have all of the words
  edit ID TEXT...           replace the text of a note
  remove ID                 remove a note
  log [COUNT]               what was done, the newest first
  watch                     what is done from now on, by whomever, until Ctrl-C
  stats                     position, entries and digest of the notebook, and the others in the store
  help                      this text

Without a command, commands are read from the standard input, one on each line.

options:
  --store URL       where the notes are [sqlite:data/notes.db]; also memory: and layers such as
                    per_database+sqlite:data/notebooks
  --notebook NAME   which notebook of the store [notes]
)";

volatile std::sig_atomic_t interrupted = 0;

/// What the user got wrong, as opposed to what went wrong.
struct UsageError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

void listen_for_interrupts() {
  struct sigaction action{};
  action.sa_handler = [](int) { interrupted = 1; };
  // Without SA_RESTART, so that a read of the standard input ends too.
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

using Words = std::vector<std::string>;

std::string joined(const Words& words, std::size_t from) {
  std::string text;
  for (std::size_t i = from; i < words.size(); ++i) text += (i == from ? "" : " ") + words[i];
  return text;
}

std::uint64_t number(const std::string& text, const char* what) {
  std::uint64_t value = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (problem != std::errc{} || end != text.data() + text.size()) {
    throw UsageError("\"" + text + "\" is not " + what);
  }
  return value;
}

std::int64_t lifetime_ms(const std::string& text) {
  static const std::map<char, std::int64_t> kUnits = {
      {'s', 1'000}, {'m', 60'000}, {'h', 3'600'000}, {'d', 86'400'000}};
  const auto unit = text.empty() ? kUnits.end() : kUnits.find(text.back());
  if (unit == kUnits.end()) throw UsageError("write a time as 10s, 5m, 2h or 3d");
  const std::uint64_t count =
      number(text.substr(0, text.size() - 1), "a number of seconds, minutes, hours or days");
  if (count == 0 || count > 36'500)
    throw UsageError("a note is kept for 1 to 36500 seconds, minutes, hours or days");
  return static_cast<std::int64_t>(count) * unit->second;
}

std::string utc(holdfast::UnixMs at_ms) {
  const std::time_t seconds = at_ms / 1000;
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%SZ", &parts);
  return text;
}

void print(const notes::Note& note) {
  std::cout << "#" << note.id << "  " << utc(note.created_at_ms) << "  " << note.text;
  if (note.expires_at_ms) std::cout << "  (until " << utc(*note.expires_at_ms) << ")";
  std::cout << "\n";
}

void print(const std::vector<notes::Note>& found) {
  for (const notes::Note& note : found) print(note);
  std::cout << found.size() << (found.size() == 1 ? " note\n" : " notes\n");
}

class Program {
 public:
  Program(holdfast::Store& store, const std::string& name)
      : store_(store), name_(name), database_(store.database(name)), notebook_(database_) {}

  /// False if what was asked for is not there.
  bool run(const Words& words) {
    const std::string& command = words.at(0);
    if (command == "add") return add(words);
    if (command == "import") return import();
    if (command == "list") return list(words);
    if (command == "show") return show(words);
    if (command == "search") return search(words);
    if (command == "edit") return edit(words);
    if (command == "remove") return remove(words);
    if (command == "log") return log(words);
    if (command == "watch") return watch();
    if (command == "stats") return stats();
    if (command == "help") return static_cast<bool>(std::cout << kHelp);
    throw UsageError("there is no command \"" + command + "\"; try: notes help");
  }

  /// Commands from the standard input until it ends.
  bool run_lines() {
    const bool is_terminal = isatty(STDIN_FILENO) == 1;
    if (is_terminal) std::cout << "notebook \"" << name_ << "\"; \"help\" lists the commands, Ctrl-D ends\n";
    bool all_done = true;
    std::string line;
    while (interrupted == 0) {
      if (is_terminal) std::cout << "> " << std::flush;
      if (!std::getline(std::cin, line)) break;
      std::istringstream parts(line);
      Words words;
      for (std::string word; parts >> word;) words.push_back(word);
      if (words.empty()) continue;
      try {
        all_done = run(words) && all_done;
      } catch (const UsageError& error) {
        std::cerr << "notes: " << error.what() << "\n";
        all_done = false;
      }
    }
    if (is_terminal) std::cout << "\n";
    return all_done;
  }

 private:
  static void need(const Words& words, std::size_t count, const char* usage) {
    if (words.size() < count) throw UsageError(std::string("usage: notes ") + usage);
  }

  bool add(const Words& words) {
    std::size_t from = 1;
    std::optional<std::int64_t> lifetime;
    if (words.size() > 1 && words[1] == "--for") {
      need(words, 4, "add --for TIME TEXT...");
      lifetime = lifetime_ms(words[2]);
      from = 3;
    }
    need(words, from + 1, "add [--for TIME] TEXT...");
    for (const notes::Note& note : notebook_.add({joined(words, from)}, lifetime)) print(note);
    return true;
  }

  bool import() {
    constexpr std::size_t kLinesPerCommit = 100;
    constexpr std::size_t kWordsPerCommit = 800;
    std::size_t lines = 0;
    std::size_t words = 0;
    std::size_t commits = 0;
    Words batch;
    const auto commit = [&] {
      if (batch.empty()) return;
      notebook_.add(batch);
      ++commits;
      lines += batch.size();
      batch.clear();
      words = 0;
    };
    for (std::string line; interrupted == 0 && std::getline(std::cin, line);) {
      if (line.empty()) continue;
      const std::size_t more = notes::words_of(line).size();
      if (batch.size() >= kLinesPerCommit || words + more > kWordsPerCommit) commit();
      words += more;
      batch.push_back(line);
    }
    commit();
    std::cout << "imported " << lines << " notes in " << commits << " commits\n";
    return true;
  }

  bool list(const Words& words) {
    print(notebook_.list(words.size() > 1 ? number(words[1], "the number of a note") : 0, 100));
    return true;
  }

  bool show(const Words& words) {
    need(words, 2, "show ID");
    const std::uint64_t id = number(words[1], "the number of a note");
    const std::optional<notes::Note> note = notebook_.show(id);
    if (!note) return missing(id);
    print(*note);
    return true;
  }

  bool search(const Words& words) {
    need(words, 2, "search WORD...");
    const Words wanted = notes::words_of(joined(words, 1));
    if (wanted.empty()) throw UsageError("a word has letters or digits");
    print(notebook_.search(wanted));
    return true;
  }

  bool edit(const Words& words) {
    need(words, 3, "edit ID TEXT...");
    const std::uint64_t id = number(words[1], "the number of a note");
    if (!notebook_.edit(id, joined(words, 2))) return missing(id);
    std::cout << "edited note " << id << "\n";
    return true;
  }

  bool remove(const Words& words) {
    need(words, 2, "remove ID");
    const std::uint64_t id = number(words[1], "the number of a note");
    if (!notebook_.remove(id)) return missing(id);
    std::cout << "removed note " << id << "\n";
    return true;
  }

  bool log(const Words& words) {
    const std::uint64_t count = words.size() > 1 ? number(words[1], "a number of lines") : 20;
    for (const notes::LogLine& line : notebook_.log(std::clamp<std::uint64_t>(count, 1, 10'000))) {
      std::cout << "commit " << line.seq << ": " << line.text << "\n";
    }
    return true;
  }

  bool watch() {
    holdfast::Position since = database_.position();
    holdfast::Watch watch = notebook_.watch_log(since);
    std::cout << "watching after commit " << since.seq << "; Ctrl-C ends\n" << std::flush;
    while (interrupted == 0) {
      // Short, so that Ctrl-C is noticed.
      const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(200);
      for (const notes::LogLine& line : notebook_.next_log_lines(watch, since, deadline)) {
        std::cout << "commit " << line.seq << ": " << line.text << "\n" << std::flush;
      }
    }
    std::cout << "stopped after commit " << since.seq << "\n";
    return true;
  }

  bool stats() {
    const holdfast::Digest digest = database_.digest();
    std::cout << "store:     " << store_.traits().name << "\nnotebook:  " << name_
              << "\ncommits:   " << digest.at.seq << "\nentries:   " << digest.entries
              << "\ndigest:    " << std::hex << std::setfill('0') << std::setw(16) << digest.high
              << std::setw(16) << digest.low << std::dec << "\nnotebooks:";
    for (const holdfast::Bytes& name : store_.databases()) {
      if (name.front() != '!') std::cout << " " << name;
    }
    std::cout << "\n";
    return true;
  }

  static bool missing(std::uint64_t id) {
    std::cerr << "notes: there is no note " << id << "\n";
    return false;
  }

  holdfast::Store& store_;
  const std::string name_;
  holdfast::Database database_;
  notes::Notebook notebook_;
};

int run(Words words) {
  std::string url = kDefaultStore;
  std::string notebook = "notes";
  while (!words.empty() && words[0].starts_with("-")) {
    if (words[0] == "--help" || words[0] == "-h") {
      std::cout << kHelp;
      return 0;
    }
    if (words[0] != "--store" && words[0] != "--notebook") {
      throw UsageError("there is no option \"" + words[0] + "\"; try: notes --help");
    }
    if (words.size() < 2) throw UsageError(words[0] + " needs a value");
    (words[0] == "--store" ? url : notebook) = words[1];
    words.erase(words.begin(), words.begin() + 2);
  }
  if (url == kDefaultStore) std::filesystem::create_directories("data");
  listen_for_interrupts();
  const std::shared_ptr<holdfast::Store> store = holdfast::Store::open(url);
  Program program(*store, notebook);
  const bool done = words.empty() ? program.run_lines() : program.run(words);
  store->close();
  return done ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(Words(argv + 1, argv + argc));
  } catch (const UsageError& error) {
    std::cerr << "notes: " << error.what() << "\n";
    return 2;
  } catch (const holdfast::Error& error) {
    std::cerr << "notes: " << error.what() << " (" << holdfast::name(error.code()) << ")\n";
    return error.code() == holdfast::Code::invalid_argument ? 2 : 1;
  } catch (const std::exception& error) {
    std::cerr << "notes: " << error.what() << "\n";
    return 1;
  }
}
