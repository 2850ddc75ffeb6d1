// Reads beside writers that create and remove databases.
#include "backends/file/contents.h"

#include <atomic>
#include <thread>
#include <vector>

#include "backends/file/store_fixture.h"

namespace holdfast::file {
namespace {

class FileContents : public StoreFixture {};

TEST_F(FileContents, are_read_while_databases_are_dropped_and_created) {
  open();
  put("steady", "key", "stays");
  std::atomic<bool> stop = false;
  std::atomic<int> wrong = 0;
  std::vector<std::thread> readers;
  for (int reader = 0; reader < 2; ++reader) {
    readers.emplace_back([&] {
      while (!stop) {
        if (get("steady", "key") != "stays") ++wrong;
        if (get("fleeting", "key").value_or("comes") != "comes") ++wrong;
      }
    });
  }
  for (int round = 0; round < 200; ++round) {
    put("fleeting", "key", "comes");
    EXPECT_TRUE(backend().drop("fleeting", head("fleeting").history, {}));
    EXPECT_FALSE(get("fleeting", "key"));
  }
  stop = true;
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace holdfast::file
