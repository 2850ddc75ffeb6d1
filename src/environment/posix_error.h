// What an errno of a file operation means to a user of Holdfast.
#pragma once

#include <string>

#include "holdfast/error.h"

namespace holdfast {

/// The error for a failed `operation` ("write", "lock" ...) on `path`: its code by the errno, and a message
/// with the path and what to do about it.
Error posix_error(int error_number, const char* operation, const std::string& path);

}  // namespace holdfast
