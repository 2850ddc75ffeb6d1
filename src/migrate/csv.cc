#include "migrate/csv.h"

#include "holdfast/error.h"

namespace holdfast::migrate {
namespace {

constexpr std::size_t kRowBytes = std::size_t{16} << 20;
constexpr View kByteOrderMark = "\xEF\xBB\xBF";

}  // namespace

std::optional<std::string> CsvReader::read() {
  std::optional<std::string> line = read_line_();
  if (!line) return line;
  ++lines_;
  if (line->ends_with('\r')) line->pop_back();
  if (lines_ == 1 && line->starts_with(kByteOrderMark)) line->erase(0, kByteOrderMark.size());
  return line;
}

std::optional<std::vector<std::string>> CsvReader::next() {
  std::optional<std::string> line;
  do {
    line = read();
    if (!line) return std::nullopt;
  } while (line->empty());
  first_line_ = lines_;
  const auto refuse = [&](const char* why) {
    throw Error(Code::invalid_argument, "line " + std::to_string(first_line_) + ": " + why);
  };

  std::vector<std::string> fields;
  std::size_t at = 0;
  std::size_t bytes = 0;
  for (;;) {
    std::string field;
    if (at < line->size() && (*line)[at] == '"') {
      ++at;
      for (;;) {
        const std::size_t quote = line->find('"', at);
        field.append(*line, at, quote == std::string::npos ? std::string::npos : quote - at);
        if (quote == std::string::npos) {
          bytes += line->size();
          if (bytes > kRowBytes) refuse("a quoted field does not end within 16 MiB");
          line = read();
          if (!line) refuse("a quoted field does not end");
          field += '\n';
          at = 0;
        } else if (quote + 1 < line->size() && (*line)[quote + 1] == '"') {
          field += '"';
          at = quote + 2;
        } else {
          at = quote + 1;
          break;
        }
      }
      if (at < line->size() && (*line)[at] != separator_) refuse("there is text behind a quoted field");
    } else {
      const std::size_t end = std::min(line->find(separator_, at), line->size());
      field = line->substr(at, end - at);
      if (field.find('"') != std::string::npos) refuse("there is a quote within a field that is not quoted");
      at = end;
    }
    fields.push_back(std::move(field));
    if (at >= line->size()) return fields;
    ++at;
    if (at == line->size()) {
      fields.emplace_back();
      return fields;
    }
  }
}

}  // namespace holdfast::migrate
