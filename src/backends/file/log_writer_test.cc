#include "backends/file/log_writer.h"

#include <gtest/gtest.h>

#include "holdfast/error.h"
#include "tests/support/simulated_file_system.h"

namespace holdfast::file {
namespace {

class LogWriterTest : public testing::Test {
 protected:
  LogWriterTest() {
    disk_->create_folder("store");
    environment_.files = disk_;
    writer_ = std::make_unique<LogWriter>(LogOptions{"store", 7, 0, true, 1u << 20}, environment_.completed(),
                                          files_);
    writer_->resume({}, 1, 1);
  }

  void append(View body) {
    AlignedBuffer record;
    record.extend(kFrameBytes);
    record.put_raw(body);
    writer_->append(record);
  }

  std::shared_ptr<SimulatedFileSystem> disk_ = SimulatedFileSystem::make({});
  Environment environment_;
  FileTable files_;
  std::unique_ptr<LogWriter> writer_;
};

TEST_F(LogWriterTest, does_not_forget_a_segment_whose_last_record_is_in_doubt) {
  append("first");
  writer_->rotate_if_used();
  disk_->set_read_only(true);
  EXPECT_THROW(append("second"), Error);
  ASSERT_TRUE(writer_->in_doubt());
  EXPECT_THROW(writer_->repair(), Error);
  // A checkpoint that was begun before the disk failed comes to its end now.
  EXPECT_EQ(writer_->forget_through(1, false).size(), 1u);
  disk_->set_read_only(false);
  writer_->repair();
  EXPECT_FALSE(writer_->in_doubt());
  append("third");
  EXPECT_EQ(writer_->last_sequence(), 2u);
}

}  // namespace
}  // namespace holdfast::file
