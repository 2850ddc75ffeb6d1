// For tests of errors.
#pragma once

#include <gtest/gtest.h>

#include "holdfast/error.h"

namespace holdfast::testing_support {

/// The code of the error that `call` throws. Throwing none fails the test.
template <class Call>
Code code_of(Call&& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.code();
  }
  ADD_FAILURE() << "nothing was thrown";
  return Code::internal;
}

}  // namespace holdfast::testing_support
