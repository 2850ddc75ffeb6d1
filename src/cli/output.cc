#include "cli/output.h"

#include <algorithm>
#include <ctime>

#include "cli/exit.h"
#include "contract/hex.h"
#include "migrate/text.h"
#include "services/base64.h"
#include "services/json_text.h"

namespace holdfast::cli {
namespace {

/// So many rows decide the widths of the columns; later ones may stick out.
constexpr std::size_t kRowsHeld = 500;
constexpr std::size_t kCellColumns = 60;

/// Columns that a text takes, roughly: one for each code point.
std::size_t columns(const std::string& text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

/// Cut to `width` columns, at a code point.
std::string cut(const std::string& text, std::size_t width) {
  if (columns(text) <= width) return text;
  std::size_t size = 0;
  for (std::size_t taken = 0; size < text.size(); ++size) {
    if ((static_cast<unsigned char>(text[size]) & 0xC0) != 0x80 && ++taken >= width) break;
  }
  return text.substr(0, size) + "…";
}

std::string spaces(std::size_t wanted, std::size_t taken) {
  return std::string(wanted > taken ? wanted - taken : 0, ' ');
}

}  // namespace

Cell Cell::text(View text) {
  Cell cell;
  cell.shown_ = printable(text);
  cell.json_ = migrate::json_string(text);
  return cell;
}

Cell Cell::bytes(View bytes) {
  Cell cell;
  cell.shown_ = printable(bytes);
  cell.is_base64_ = !is_utf8(bytes);
  cell.json_ = migrate::json_string(cell.is_base64_ ? to_base64(bytes) : std::string(bytes));
  return cell;
}

Cell Cell::number(std::uint64_t number) {
  Cell cell;
  cell.shown_ = cell.json_ = std::to_string(number);
  cell.is_number_ = true;
  return cell;
}

Cell Cell::number(std::int64_t number) {
  Cell cell;
  cell.shown_ = cell.json_ = std::to_string(number);
  cell.is_number_ = true;
  return cell;
}

Cell Cell::real(double number, int digits) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", digits, number);
  Cell cell;
  cell.shown_ = cell.json_ = text;
  cell.is_number_ = true;
  return cell;
}

Cell Cell::boolean(bool value) {
  Cell cell;
  cell.shown_ = value ? "yes" : "no";
  cell.json_ = value ? "true" : "false";
  return cell;
}

Cell Cell::time(std::optional<UnixMs> time_ms) {
  if (!time_ms) return none();
  Cell cell;
  cell.shown_ = iso_time(*time_ms);
  cell.json_ = std::to_string(*time_ms);
  return cell;
}

Cell Cell::none() {
  Cell cell;
  cell.json_ = "null";
  return cell;
}

Cell Cell::json(std::string text) {
  Cell cell;
  cell.shown_ = printable(text);
  cell.json_ = std::move(text);
  return cell;
}

std::string Cell::json_member(const std::string& name) const {
  return migrate::json_string(is_base64_ ? name + "64" : name) + ":" + json_;
}

void Output::table(std::vector<std::string> names) {
  finish();
  names_ = std::move(names);
  widths_known_ = false;
}

void Output::row(std::vector<Cell> cells) {
  if (options_.json) {
    std::string line = "{";
    for (std::size_t i = 0; i < cells.size(); ++i)
      line += (i == 0 ? "" : ",") + cells[i].json_member(names_[i]);
    raw(line + "}\n");
  } else if (!options_.is_terminal) {
    std::string line;
    for (std::size_t i = 0; i < cells.size(); ++i) line += (i == 0 ? "" : "\t") + cells[i].shown();
    raw(line + "\n");
  } else {
    held_.push_back(std::move(cells));
    if (widths_known_ || held_.size() == kRowsHeld) print_held();
  }
}

void Output::finish() {
  print_held();
  flush();
}

void Output::print_held() {
  if (held_.empty()) return;
  if (!widths_known_) {
    widths_.clear();
    for (const std::string& name : names_) widths_.push_back(columns(name));
    for (const std::vector<Cell>& row : held_) {
      for (std::size_t i = 0; i < row.size(); ++i) {
        const std::size_t limit = i + 1 == row.size() ? SIZE_MAX : kCellColumns;
        widths_[i] = std::max(widths_[i], std::min(columns(row[i].shown()), limit));
      }
    }
    widths_known_ = true;
    print_row(names_, nullptr);
  }
  for (const std::vector<Cell>& row : held_) {
    std::vector<std::string> shown;
    for (const Cell& cell : row) shown.push_back(cell.shown());
    print_row(shown, &row);
  }
  held_.clear();
}

void Output::print_row(const std::vector<std::string>& shown, const std::vector<Cell>* cells) {
  std::string line;
  std::size_t used = 0;
  for (std::size_t i = 0; i < shown.size(); ++i) {
    const bool is_last = i + 1 == shown.size();
    if (i > 0) line += "  ";
    used += i > 0 ? 2 : 0;
    std::string text = is_last ? shown[i] : cut(shown[i], kCellColumns);
    if (is_last && options_.width > 0)
      text = cut(text, options_.width > used + 10 ? options_.width - used : 10);
    const std::size_t wide = columns(text);
    const bool is_right =
        cells != nullptr ? (*cells)[i].is_number() : !held_.empty() && held_[0][i].is_number();
    if (is_right) line += spaces(widths_[i], wide);
    line += cells == nullptr ? bold(text) : text;
    if (!is_right && !is_last) line += spaces(widths_[i], wide);
    used += std::max(wide, widths_[i]);
  }
  raw(line + "\n");
}

void Output::object(const std::vector<std::pair<std::string, Cell>>& fields) {
  std::string text;
  if (options_.json) {
    for (const auto& [name, cell] : fields) text += (text.empty() ? "{" : ",") + cell.json_member(name);
    raw(text + "}\n");
  } else {
    std::size_t width = 0;
    for (const auto& [name, cell] : fields) width = std::max(width, columns(name));
    for (const auto& [name, cell] : fields) {
      const std::string gap = options_.is_terminal ? spaces(width, columns(name)) + "  " : "\t";
      text += (options_.is_terminal ? bold(name) : name) + gap + cell.shown() + "\n";
    }
    raw(text);
  }
  flush();
}

void Output::say(const std::string& text) {
  if (!options_.json) raw(text + "\n");
  flush();
}

void Output::document(const std::string& name, const std::string& text) {
  if (options_.json) return object({{name, Cell::text(text)}});
  raw(text);
}

void Output::raw(View bytes) {
  if (std::fwrite(bytes.data(), 1, bytes.size(), file_) != bytes.size()) {
    throw Interrupted("nobody reads the output any more");
  }
}

void Output::flush() {
  if (std::fflush(file_) != 0) throw Interrupted("nobody reads the output any more");
}

std::string Output::colored(const char* code, const std::string& text) const {
  return options_.color ? "\x1b[" + std::string(code) + "m" + text + "\x1b[0m" : text;
}
std::string Output::bold(const std::string& text) const { return colored("1", text); }
std::string Output::red(const std::string& text) const { return colored("31", text); }

void ProgressBar::show(const std::string& what, std::uint64_t done, std::uint64_t total,
                       std::int64_t elapsed_ms, const std::string& unit, std::uint64_t done_before) {
  const bool was_just_drawn = elapsed_ms >= drawn_at_ms_ && elapsed_ms - drawn_at_ms_ < 100;
  if (!is_shown_ || (was_just_drawn && done != total)) return;
  drawn_at_ms_ = elapsed_ms;
  const std::uint64_t done_meanwhile = done - std::min(done, done_before);
  const double rate =
      elapsed_ms > 0 ? static_cast<double>(done_meanwhile) * 1000.0 / static_cast<double>(elapsed_ms) : 0;
  std::string line = what + " ";
  if (total > 0) {
    const double part = std::min(1.0, static_cast<double>(done) / static_cast<double>(total));
    const auto filled = static_cast<std::size_t>(part * 30);
    line += "[" + std::string(filled, '#') + std::string(30 - filled, '.') + "] ";
    line += std::to_string(static_cast<int>(part * 100)) + "% ";
  }
  line += std::to_string(done) + " " + unit + ", " + std::to_string(static_cast<std::uint64_t>(rate)) + "/s";
  if (total > done && rate > 0) {
    const auto left_s = static_cast<std::uint64_t>(static_cast<double>(total - done) / rate);
    line += ", " + std::to_string(left_s / 60) + ":" + (left_s % 60 < 10 ? "0" : "") +
            std::to_string(left_s % 60) + " left";
  }
  std::fprintf(file_, "\r\x1b[K%s", line.c_str());
  std::fflush(file_);
  is_drawn_ = true;
}

void ProgressBar::clear() {
  if (!is_drawn_) return;
  std::fputs("\r\x1b[K", file_);
  std::fflush(file_);
  is_drawn_ = false;
}

std::string printable(View bytes) {
  const bool is_text = is_utf8(bytes);
  std::string out;
  for (const char c : bytes) {
    const auto code = static_cast<unsigned char>(c);
    if (code < 0x20 || code == 0x7F || (code >= 0x80 && !is_text)) {
      out += "\\x";
      append_hex(out, c);
    } else {
      out += c;
    }
  }
  return out;
}

std::string iso_time(UnixMs time_ms) {
  const std::int64_t milliseconds = ((time_ms % 1000) + 1000) % 1000;
  const auto days_and_seconds = static_cast<std::time_t>((time_ms - milliseconds) / 1000);
  std::tm parts{};
  gmtime_r(&days_and_seconds, &parts);
  char text[80];
  std::snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", parts.tm_year + 1900,
                parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
                static_cast<int>(milliseconds));
  return text;
}

}  // namespace holdfast::cli
