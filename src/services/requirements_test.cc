#include "services/requirements.h"

#include <gtest/gtest.h>

#include "contract/forwarding.h"
#include "holdfast/layers.h"
#include "holdfast/open.h"
#include "holdfast/queue.h"
#include "holdfast/schedules.h"
#include "holdfast/tasks.h"

namespace holdfast {
namespace {

/// A store whose copies are changed apart, as far as its traits say.
class MergeableBackend final : public ForwardingBackend {
 public:
  explicit MergeableBackend(const Environment& environment)
      : ForwardingBackend(open_backend("memory:", environment)), traits_(ForwardingBackend::traits()) {
    traits_.name = "copies";
    traits_.mergeable = true;
  }
  const Traits& traits() const override { return traits_; }
  const Traits& traits_of(View) const override { return traits_; }

 private:
  Traits traits_;
};

template <class F>
Error refused_with(F open) {
  try {
    open();
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "nothing was refused";
  return Error(Code::internal, "");
}

class RequirementsTest : public testing::Test {
 protected:
  /// "apart" lies in a store whose copies are changed apart, all other databases in one of one history.
  RequirementsTest() {
    const Environment environment = Environment{}.completed();
    StoreOptions options;
    options.sweeper = false;
    store = Store::open(bound_databases({{"apart", std::make_shared<MergeableBackend>(environment)}},
                                        open_backend("memory:", environment), environment),
                        options);
  }
  std::shared_ptr<Store> store;
};

TEST_F(RequirementsTest, services_in_which_one_caller_wins_refuse_a_store_of_copies_naming_both) {
  const Error queue = refused_with([&] { const Queue jobs(store->database("apart"), "jobs"); });
  EXPECT_EQ(queue.code(), Code::capability_missing);
  EXPECT_NE(View(queue.what()).find("\"queue\""), View::npos) << queue.what();
  EXPECT_NE(View(queue.what()).find("\"copies\""), View::npos) << queue.what();
  const Error schedules = refused_with([&] { const Schedules all(store->database("apart")); });
  EXPECT_EQ(schedules.code(), Code::capability_missing);
  EXPECT_NE(View(schedules.what()).find("\"schedules\""), View::npos) << schedules.what();
  const Error tasks = refused_with([&] { const Tasks all(store->database("apart")); });
  EXPECT_EQ(tasks.code(), Code::capability_missing);
  EXPECT_NE(View(tasks.what()).find("\"tasks\""), View::npos) << tasks.what();
}

TEST_F(RequirementsTest, are_judged_by_the_store_that_keeps_the_database) {
  EXPECT_NO_THROW(Queue(store->database("app"), "jobs"));
  EXPECT_NO_THROW(Schedules(store->database("app")));
  EXPECT_NO_THROW(Tasks(store->database("app")));
  EXPECT_FALSE(store->database("app").traits().mergeable);
  EXPECT_EQ(store->database("apart").traits().name, "copies");
  EXPECT_TRUE(store->traits().mergeable);
}

}  // namespace
}  // namespace holdfast
