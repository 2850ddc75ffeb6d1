// holdfast db get|put|delete|scan|watch: the entries of one database.

#include <algorithm>

#include "cli/command_tree.h"
#include "cli/context.h"
#include "cli/exit.h"
#include "cli/input.h"
#include "migrate/text.h"
#include "services/base64.h"

namespace holdfast::cli {
namespace {

using Kind = Argument::Kind;

constexpr std::size_t kPageEntries = 1'000;

const Argument kBase64{"--base64", "keys and values on the command line and in the output are base64",
                       Kind::flag};

Bytes given_bytes(const std::string& text, bool is_base64) {
  if (!is_base64) return text;
  std::optional<Bytes> bytes = from_base64(text);
  if (!bytes) throw UsageError("with --base64 keys and values are base64, with padding");
  return *std::move(bytes);
}

Cell shown_bytes(View bytes, bool is_base64) {
  return is_base64 ? Cell::text(to_base64(bytes)) : Cell::bytes(bytes);
}

/// With --base64 JSON members are named so too.
std::string field(const std::string& name, bool is_base64) { return is_base64 ? name + "64" : name; }

std::vector<std::string> entry_fields(bool is_base64, bool keys_only) {
  std::vector<std::string> names = {field("key", is_base64), "version", "expires_at_ms"};
  if (!keys_only) names.push_back(field("value", is_base64));
  return names;
}

std::vector<Cell> entry_cells(const Entry& entry, bool is_base64, bool keys_only) {
  std::vector<Cell> cells = {shown_bytes(entry.key, is_base64), Cell::number(entry.version),
                             Cell::time(entry.expires_at_ms)};
  if (!keys_only) cells.push_back(shown_bytes(entry.value, is_base64));
  return cells;
}

int get(Context& context, const Arguments& arguments) {
  const bool is_base64 = arguments.flag("--base64");
  std::vector<Bytes> keys;
  for (const std::string& text : arguments.list("KEY")) keys.push_back(given_bytes(text, is_base64));
  const std::vector<std::optional<Entry>> entries = context.database().get(keys);
  const auto missing = std::ranges::count_if(entries, [](const auto& entry) { return !entry; });
  Output& out = context.out();
  if (keys.size() == 1 && !out.options().json) {
    if (missing == 0) {
      const Bytes& value = entries.front()->value;
      out.raw(is_base64 ? to_base64(value) : value);
      if (out.options().is_terminal && !value.ends_with('\n')) out.raw("\n");
    }
  } else {
    out.table(entry_fields(is_base64, false));
    for (const auto& entry : entries) {
      if (entry) out.row(entry_cells(*entry, is_base64, false));
    }
  }
  out.finish();
  if (missing > 0) {
    throw Error(Code::not_found, keys.size() == 1 ? "there is no entry under this key"
                                                  : "there is no entry under " + std::to_string(missing) +
                                                        " of " + std::to_string(keys.size()) + " keys");
  }
  return kExitSuccess;
}

std::vector<Check> checks_of(const Bytes& key, const Arguments& arguments, bool may_demand_absence) {
  std::vector<Check> checks;
  if (may_demand_absence && arguments.flag("--if-absent")) checks.push_back(Check::absent(key));
  if (arguments.given("--if-version")) {
    checks.push_back(Check::has_version(key, arguments.number("--if-version")));
  }
  return checks;
}

Seq committed(Database database, Batch batch) {
  const Outcome outcome = database.commit(std::move(batch));
  if (!outcome.committed()) {
    throw Error(Code::conflict,
                "the entry is not what --if-absent or --if-version demands; nothing was changed");
  }
  return outcome.seq;
}

int put(Context& context, const Arguments& arguments) {
  const bool is_base64 = arguments.flag("--base64");
  const Bytes key = given_bytes(arguments.text("KEY"), is_base64);
  const auto value = arguments.optional_text("VALUE");
  const auto file = arguments.optional_text("--file");
  if (value.has_value() == file.has_value()) {
    throw UsageError("give the value as VALUE, or by --file FILE, where - is the standard input");
  }
  const Bytes bytes = file ? read_whole(*file, limits::kValueBytes) : given_bytes(*value, is_base64);
  std::optional<UnixMs> expires_at_ms;
  if (const auto lifetime_ms = arguments.optional_duration_ms("--ttl")) {
    expires_at_ms = context.environment().clock->now_ms() + *lifetime_ms;
  }
  Batch batch{checks_of(key, arguments, true), {Write::put(key, bytes, expires_at_ms)}};
  const Seq version = committed(context.database(), std::move(batch));
  context.out().object({{"version", Cell::number(version)}});
  return kExitSuccess;
}

std::uint64_t erase_range(Context& context, Range range) {
  Database database = context.database();
  std::uint64_t count = 0;
  for (bool more = true; more;) {
    context.check_interrupt(std::to_string(count) + " entries were deleted; run it again for the rest");
    const Page page = database.scan(range, {.limit = kPageEntries, .keys_only = true});
    more = page.more;
    Batch batch;
    for (const Entry& entry : page.entries) batch.writes.push_back(Write::erase(entry.key));
    if (batch.writes.empty()) continue;
    range.begin = page.entries.back().key + '\0';
    count += batch.writes.size();
    database.commit(std::move(batch));
  }
  return count;
}

std::uint64_t erase_keys(Context& context, const Arguments& arguments, bool is_base64) {
  std::vector<Bytes> keys;
  for (const std::string& text : arguments.list("KEY")) keys.push_back(given_bytes(text, is_base64));
  if (arguments.given("--if-version")) {
    if (keys.size() != 1) throw UsageError("--if-version goes with one KEY");
    committed(context.database(), {checks_of(keys.front(), arguments, false), {Write::erase(keys.front())}});
    return 1;
  }
  return context.database().transact([&](Transaction& transaction) {
    std::uint64_t count = 0;
    for (const auto& entry : transaction.get(keys)) {
      if (!entry) continue;
      transaction.erase(entry->key);
      ++count;
    }
    return count;
  });
}

int erase(Context& context, const Arguments& arguments) {
  const bool is_base64 = arguments.flag("--base64");
  const auto prefix = arguments.optional_text("--prefix");
  if (prefix.has_value() == !arguments.list("KEY").empty())
    throw UsageError("give KEY... or --prefix PREFIX");
  std::uint64_t count = 0;
  if (prefix) {
    context.confirm("This deletes every entry of the database whose key starts with the prefix.",
                    arguments.flag("--yes"));
    count = erase_range(context, Range::prefix(given_bytes(*prefix, is_base64)));
  } else {
    count = erase_keys(context, arguments, is_base64);
  }
  context.out().object({{"deleted", Cell::number(count)}});
  if (count == 0) throw Error(Code::not_found, "there was no such entry");
  return kExitSuccess;
}

Range range_of(const Arguments& arguments, bool is_base64) {
  Range range = Range::all();
  if (const auto prefix = arguments.optional_text("PREFIX"))
    range = Range::prefix(given_bytes(*prefix, is_base64));
  if (const auto from = arguments.optional_text("--from")) {
    range.begin = std::max(range.begin, given_bytes(*from, is_base64));
  }
  if (const auto to = arguments.optional_text("--to")) {
    const Bytes end = given_bytes(*to, is_base64);
    range.end = range.end.empty() ? end : std::min(range.end, end);
  }
  return range;
}

int scan(Context& context, const Arguments& arguments) {
  const bool is_base64 = arguments.flag("--base64");
  const bool keys_only = arguments.flag("--keys-only");
  const std::uint64_t limit = arguments.number("--limit");
  ScanOptions options{.limit = kPageEntries, .reverse = arguments.flag("--reverse"), .keys_only = keys_only};
  Range range = range_of(arguments, is_base64);
  Output& out = context.out();
  out.table(entry_fields(is_base64, keys_only));
  std::uint64_t shown = 0;
  bool more = true;
  for (Database database = context.database(); more && (limit == 0 || shown < limit);) {
    context.check_interrupt();
    if (limit != 0) options.limit = std::min<std::uint64_t>(kPageEntries, limit - shown);
    const Page page = database.scan(range, options);
    for (const Entry& entry : page.entries) out.row(entry_cells(entry, is_base64, keys_only));
    shown += page.entries.size();
    more = page.more;
    if (page.entries.empty()) continue;
    (options.reverse ? range.end : range.begin) =
        page.entries.back().key + (options.reverse ? "" : Bytes(1, '\0'));
  }
  out.finish();
  if (more && out.options().is_terminal) context.note("there are more; --limit 0 shows all of them");
  return kExitSuccess;
}

class Watcher {
 public:
  Watcher(Context& context, const Arguments& arguments)
      : context_(context),
        database_(context.database()),
        is_base64_(arguments.flag("--base64")),
        keys_only_(arguments.flag("--keys-only")),
        count_(arguments.number("--count")) {}

  void run(const Range& range, Position since) {
    std::vector<std::string> names = {"seq", field("key", is_base64_)};
    if (!keys_only_) names.insert(names.end(), {"what", field("value", is_base64_)});
    context_.out().table(names);
    for (Watch watch = database_.watch(range, since); count_ == 0 || shown_ < count_;) {
      context_.check_interrupt("watched to the end");
      const auto soon = context_.environment().clock->steady_now() + std::chrono::milliseconds(200);
      if (const std::optional<Hint> hint = watch.next(soon)) show(*hint);
    }
  }

 private:
  void show(const Hint& hint) {
    if (hint.everything) {
      row(hint.through.seq, Cell::none(), "anything", Cell::none());
    } else {
      for (std::size_t from = 0; from < hint.keys.size(); from += limits::kReadGets) {
        const std::size_t to = std::min(hint.keys.size(), from + limits::kReadGets);
        show_keys(hint.through.seq, {hint.keys.begin() + static_cast<std::ptrdiff_t>(from),
                                     hint.keys.begin() + static_cast<std::ptrdiff_t>(to)});
      }
    }
    context_.out().finish();
  }

  void show_keys(Seq seq, const std::vector<Bytes>& keys) {
    std::vector<std::optional<Entry>> entries(keys.size());
    if (!keys_only_) entries = database_.get(keys);
    for (std::size_t i = 0; i < keys.size(); ++i) {
      const Cell key = shown_bytes(keys[i], is_base64_);
      if (entries[i]) {
        row(seq, key, "put", shown_bytes(entries[i]->value, is_base64_));
      } else {
        row(seq, key, "erased", Cell::none());
      }
    }
  }

  void row(Seq seq, const Cell& key, const char* what, const Cell& value) {
    if (count_ != 0 && shown_ == count_) return;
    std::vector<Cell> cells = {Cell::number(seq), key};
    if (!keys_only_) cells.insert(cells.end(), {Cell::text(what), value});
    context_.out().row(std::move(cells));
    ++shown_;
  }

  Context& context_;
  Database database_;
  const bool is_base64_;
  const bool keys_only_;
  const std::uint64_t count_;
  std::uint64_t shown_ = 0;
};

int watch(Context& context, const Arguments& arguments) {
  Position since = context.database().position();
  if (arguments.given("--since")) since.seq = arguments.number("--since");
  Watcher(context, arguments).run(range_of(arguments, arguments.flag("--base64")), since);
  return kExitSuccess;
}

}  // namespace

std::vector<Command> db_commands() {
  const Argument from{"--from", "keys from this one on", Kind::text, "KEY"};
  const Argument to{"--to", "keys below this one", Kind::text, "KEY"};
  const Argument prefix{"PREFIX", "only keys that start with this"};
  return {
      {.path = "db get",
       .summary = "the value of one key, or the entries of several",
       .details = "One value is printed as it is. Several keys are read in one snapshot.",
       .arguments = {{.name = "KEY", .help = "1 to 1000 keys", .required = true, .repeated = true}, kBase64},
       .examples = {{"db get greeting", "the value, byte for byte"},
                    {"db get --json greeting farewell", "two entries with their versions"}},
       .run = get},
      {.path = "db put",
       .summary = "store a value under a key",
       .details = "Prints the entry's version. The whole entry is replaced, its expiry included.",
       .arguments = {{.name = "KEY", .help = "1 to 2048 bytes", .required = true},
                     {.name = "VALUE", .help = "up to 1 MiB"},
                     {"--file", "take the value from a file, or with - from the standard input", Kind::file},
                     {"--ttl", "the entry is gone after this time: 250ms, 10s, 5m, 2h, 3d", Kind::duration},
                     {"--if-absent", "only if there is no entry", Kind::flag},
                     {"--if-version", "only if the entry has this version", Kind::number, "SEQ"},
                     kBase64},
       .examples = {{"db put greeting hello", "a text"},
                    {"db put config --file config.json --if-version 17",
                     "a file, unless somebody else was faster"},
                    {"db put lock me --if-absent --ttl 30s", "a lock that goes by itself"}},
       .run = put},
      {.path = "db delete",
       .summary = "remove entries",
       .details =
           "Keys are removed in one commit, a prefix in commits of 1000. Exits with not_found if there was "
           "nothing to remove.",
       .arguments = {{.name = "KEY", .help = "up to 1000 keys", .repeated = true},
                     {"--prefix", "every key that starts with this", Kind::text, "PREFIX"},
                     {"--if-version", "only if the entry has this version", Kind::number, "SEQ"},
                     {"--yes", "do not ask", Kind::flag},
                     kBase64},
       .examples = {{"db delete greeting", "one entry"},
                    {"db delete --prefix session/ --yes", "all of a kind"}},
       .run = erase},
      {.path = "db scan",
       .summary = "entries in the order of their keys",
       .details =
           "Each page of 1000 entries is one snapshot. Keys that begin with '!' are the engine's and are "
           "shown for a PREFIX or --from that begins with '!' only.",
       .arguments = {prefix,
                     from,
                     to,
                     {"--limit", "at most so many entries; 0: all", Kind::number, "COUNT", "100"},
                     {"--reverse", "from the last key to the first", Kind::flag},
                     {"--keys-only", "no values", Kind::flag},
                     kBase64},
       .examples = {{"db scan user/ --limit 20", "the first 20 of a kind"},
                    {"db scan --json --limit 0 | jq .key", "all keys"}},
       .run = scan},
      {.path = "db watch",
       .summary = "changes as they happen, until Ctrl-C",
       .details =
           "Prints which keys changed and what is stored under them now. No change is lost; several changes "
           "of one key in a short time may be shown as one. An entry that expires is a change when it is "
           "removed, which takes a program that sweeps, such as a server.",
       .arguments = {prefix,
                     from,
                     to,
                     {"--since", "begin after this commit", Kind::number, "SEQ"},
                     {"--count", "end after so many changes; 0: never", Kind::number, "COUNT", "0"},
                     {"--keys-only", "no values", Kind::flag},
                     kBase64},
       .examples = {{"db watch user/ --json", "changes of a kind, one JSON object per line"},
                    {"db watch --since 0 --count 10", "the first ten changes that the log still has"}},
       .run = watch},
  };
}

}  // namespace holdfast::cli
