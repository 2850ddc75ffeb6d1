#include "notebook.h"

#include <algorithm>
#include <charconv>
#include <set>

// The keys:
//   last-id                  the number of the newest note, in decimal
//   note/<id, 8 hex>         <created, Unix ms> <text>
//   word/<word>/<id, 8 hex>  (empty): the note has the word
//   log/<seq, 16 hex>        what the commit did

namespace notes {
namespace {

using holdfast::Bytes;
using holdfast::Entry;
using holdfast::Range;
using holdfast::Transaction;
using holdfast::UnixMs;

constexpr std::size_t kWords = 1'000;
constexpr std::size_t kWordBytes = 64;
constexpr std::size_t kIdDigits = 8;
constexpr std::size_t kSeqDigits = 16;

Bytes hex(std::uint64_t number, std::size_t digits) {
  static constexpr char kDigits[] = "0123456789abcdef";
  Bytes text(digits, '0');
  for (std::size_t i = digits; i-- > 0; number >>= 4) text[i] = kDigits[number & 15];
  return text;
}

template <class Number>
Number parsed(std::string_view text, int base = 10) {
  Number number{};
  std::from_chars(text.data(), text.data() + text.size(), number, base);
  return number;
}

Bytes note_key(std::uint64_t id) { return "note/" + hex(id, kIdDigits); }
Bytes word_key(const std::string& word, std::uint64_t id) {
  return "word/" + word + "/" + hex(id, kIdDigits);
}

Note note_of(const Entry& entry) {
  const std::size_t space = std::min(entry.value.find(' '), entry.value.size() - 1);
  return {parsed<std::uint64_t>(std::string_view(entry.key).substr(5), 16), parsed<UnixMs>(entry.value),
          entry.expires_at_ms, entry.value.substr(space + 1)};
}

LogLine line_of(const Entry& entry) {
  return {parsed<holdfast::Seq>(std::string_view(entry.key).substr(4, kSeqDigits), 16), entry.value};
}

void write(Transaction& transaction, const Note& note) {
  transaction.put(note_key(note.id), std::to_string(note.created_at_ms) + " " + note.text,
                  note.expires_at_ms);
  for (const std::string& word : words_of(note.text)) {
    transaction.put(word_key(word, note.id), "", note.expires_at_ms);
  }
}

void erase_words(Transaction& transaction, const Note& note) {
  for (const std::string& word : words_of(note.text)) transaction.erase(word_key(word, note.id));
}

/// Blind: however many processes write to the log, none of them conflicts because of it.
void append_log(Transaction& transaction, const std::string& line) {
  transaction.put_stamped("log/", "", line);
}

}  // namespace

std::vector<std::string> words_of(const std::string& text) {
  std::set<std::string> words;
  std::string word;
  const auto end_word = [&] {
    if (!word.empty() && words.size() < kWords) words.insert(word.substr(0, kWordBytes));
    word.clear();
  };
  for (const char c : text) {
    const bool is_upper = c >= 'A' && c <= 'Z';
    const bool is_part =
        is_upper || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || static_cast<unsigned char>(c) >= 0x80;
    if (is_part) {
      word += is_upper ? static_cast<char>(c - 'A' + 'a') : c;
    } else {
      end_word();
    }
  }
  end_word();
  return {words.begin(), words.end()};
}

std::vector<Note> Notebook::add(const std::vector<std::string>& texts,
                                std::optional<std::int64_t> lifetime_ms) {
  return database_.transact([&](Transaction& transaction) {
    // Two processes that add at once read the same number; one of them commits, the other runs again.
    const std::optional<Entry> last = transaction.get("last-id");
    std::uint64_t id = last ? parsed<std::uint64_t>(last->value) : 0;
    std::vector<Note> added;
    for (const std::string& text : texts) {
      Note note{++id, transaction.now(), {}, text};
      if (lifetime_ms) note.expires_at_ms = transaction.now() + *lifetime_ms;
      write(transaction, note);
      added.push_back(std::move(note));
    }
    transaction.put("last-id", std::to_string(id));
    append_log(transaction, added.size() == 1 ? "added note " + std::to_string(id)
                                              : "added notes " + std::to_string(added.front().id) + " to " +
                                                    std::to_string(id));
    return added;
  });
}

bool Notebook::edit(std::uint64_t id, const std::string& text) {
  return database_.transact([&](Transaction& transaction) {
    const std::optional<Entry> entry = transaction.get(note_key(id));
    if (!entry) return false;
    Note note = note_of(*entry);
    erase_words(transaction, note);
    note.text = text;
    write(transaction, note);
    append_log(transaction, "edited note " + std::to_string(id));
    return true;
  });
}

bool Notebook::remove(std::uint64_t id) {
  return database_.transact([&](Transaction& transaction) {
    const std::optional<Entry> entry = transaction.get(note_key(id));
    if (!entry) return false;
    erase_words(transaction, note_of(*entry));
    transaction.erase(entry->key);
    append_log(transaction, "removed note " + std::to_string(id));
    return true;
  });
}

std::optional<Note> Notebook::show(std::uint64_t id) const {
  const std::optional<Entry> entry = database_.get(note_key(id));
  if (!entry) return std::nullopt;
  return note_of(*entry);
}

std::vector<Note> Notebook::list(std::uint64_t after, std::size_t limit) const {
  Range range = Range::prefix("note/");
  range.begin = note_key(after + 1);
  std::vector<Note> found;
  for (const Entry& entry : database_.scan(range, {.limit = limit}).entries) found.push_back(note_of(entry));
  return found;
}

std::vector<Note> Notebook::search(const std::vector<std::string>& words) {
  // A transaction, although it writes nothing: the words and the notes are of one moment.
  return database_.transact([&](Transaction& transaction) {
    std::optional<std::set<std::string>> ids;
    for (const std::string& word : words) {
      const Bytes prefix = "word/" + word + "/";
      std::set<std::string> having;
      Range range = Range::prefix(prefix);
      for (bool more = true; more;) {
        const holdfast::Page page = transaction.scan(range);
        for (const Entry& entry : page.entries) having.insert(entry.key.substr(prefix.size()));
        more = page.more && !page.entries.empty();
        if (more) range.begin = page.entries.back().key + '\0';
      }
      if (ids) std::erase_if(having, [&](const std::string& id) { return !ids->contains(id); });
      ids = std::move(having);
    }
    std::vector<Note> found;
    if (!ids) return found;
    for (const std::string& id : *ids) {
      const std::optional<Entry> entry = transaction.get("note/" + id);
      if (entry) found.push_back(note_of(*entry));
    }
    return found;
  });
}

Range Notebook::log_range() { return Range::prefix("log/"); }

std::vector<LogLine> Notebook::log(std::size_t limit) const {
  std::vector<LogLine> lines;
  for (const Entry& entry : database_.scan(log_range(), {.limit = limit, .reverse = true}).entries) {
    lines.push_back(line_of(entry));
  }
  return lines;
}

std::vector<LogLine> Notebook::next_log_lines(holdfast::Watch& watch, holdfast::Position& since,
                                              holdfast::Deadline deadline) const {
  const std::optional<holdfast::Hint> hint = watch.next(deadline);
  if (!hint) return {};
  // A hint says that there is something new, not what: read from the last line that was seen.
  Range range = log_range();
  range.begin = "log/" + hex(since.seq + 1, kSeqDigits);
  std::vector<LogLine> lines;
  for (const Entry& entry : database_.scan(range).entries) lines.push_back(line_of(entry));
  if (!lines.empty()) since.seq = lines.back().seq;
  return lines;
}

}  // namespace notes
