#include "backends/postgres/values.h"

#include <gtest/gtest.h>

#include "backends/postgres/test_server.h"

namespace holdfast::postgres {
namespace {

using namespace std::string_literals;

TEST(ArrayParameter, of_nothing_has_no_dimension) {
  EXPECT_EQ(ArrayParameter::int4s().finish(), "\0\0\0\0\0\0\0\0\0\0\0\x17"s);
}

TEST(ArrayParameter, marks_nulls) {
  ArrayParameter array = ArrayParameter::byteas();
  array.add(View("ab"));
  array.add_null();
  EXPECT_EQ(std::move(array).finish(),
            "\0\0\0\1\0\0\0\1\0\0\0\x11\0\0\0\2\0\0\0\1\0\0\0\2ab\xff\xff\xff\xff"s);
}

TEST(Parameters, come_back_from_a_server_as_they_were) {
  ArrayParameter numbers = ArrayParameter::int4s();
  for (const std::int32_t number : {0, -1, INT32_MAX, INT32_MIN}) numbers.add(number);
  Parameters parameters;
  parameters.int8(std::int64_t{INT64_MIN}).bytes("\0\xff"s).null().boolean(true).array(std::move(numbers));
  PGconn* connection = PQconnectdb(server_url().c_str());
  const Rows rows(PQexecParams(
      connection, "SELECT $1::int8, $2::bytea, $3::int8, $4::bool, $5::int4[], '{}'::int4[]",
      parameters.count(), nullptr, parameters.values(), parameters.lengths(), parameters.formats(), 1));
  ASSERT_EQ(rows.size(), 1) << PQerrorMessage(connection);
  EXPECT_EQ(rows.int8(0, 0), INT64_MIN);
  EXPECT_EQ(rows.bytes(0, 1), "\0\xff"s);
  EXPECT_TRUE(rows.is_null(0, 2));
  EXPECT_TRUE(rows.boolean(0, 3));
  EXPECT_EQ(rows.int4s(0, 4), (std::vector<std::int32_t>{0, -1, INT32_MAX, INT32_MIN}));
  EXPECT_TRUE(rows.int4s(0, 5).empty());
  PQfinish(connection);
}

}  // namespace
}  // namespace holdfast::postgres
