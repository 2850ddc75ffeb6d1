#include "migrate/csv.h"

#include <gtest/gtest.h>

#include "holdfast/error.h"

namespace holdfast::migrate {
namespace {

using Rows = std::vector<std::vector<std::string>>;

Rows rows(const std::vector<std::string>& lines, char separator = ',') {
  std::size_t at = 0;
  CsvReader reader(
      [&]() -> std::optional<std::string> {
        return at == lines.size() ? std::nullopt : std::optional(lines[at++]);
      },
      separator);
  Rows found;
  while (auto row = reader.next()) found.push_back(*row);
  return found;
}

std::string refusal(const std::vector<std::string>& lines) {
  try {
    rows(lines);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::invalid_argument);
    return error.what();
  }
  return "";
}

TEST(Csv, SplitsAtSeparators) {
  EXPECT_EQ(rows({"a,b,c", "1,,3", ",,", "x"}), (Rows{{"a", "b", "c"}, {"1", "", "3"}, {"", "", ""}, {"x"}}));
  EXPECT_EQ(rows({"a;b,c"}, ';'), (Rows{{"a", "b,c"}}));
}

TEST(Csv, UnderstandsQuotes) {
  EXPECT_EQ(rows({R"("a,b","say ""hi""","",c)"}), (Rows{{"a,b", "say \"hi\"", "", "c"}}));
  EXPECT_EQ(rows({"\"first", "", "last\",next"}), (Rows{{"first\n\nlast", "next"}}));
}

TEST(Csv, LeavesOutMarksAndEmptyLines) {
  EXPECT_EQ(rows({"\xEF\xBB\xBF"
                  "a,b\r",
                  "", "\r", "1,2\r"}),
            (Rows{{"a", "b"}, {"1", "2"}}));
}

TEST(Csv, NamesTheLineOfAWrongQuote) {
  EXPECT_EQ(refusal({"a", "b\"c"}), "line 2: there is a quote within a field that is not quoted");
  EXPECT_EQ(refusal({"\"a\"b"}), "line 1: there is text behind a quoted field");
  EXPECT_EQ(refusal({"a", "\"b", "c"}), "line 2: a quoted field does not end");
}

}  // namespace
}  // namespace holdfast::migrate
