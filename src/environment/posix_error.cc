#include "environment/posix_error.h"

#include <errno.h>

#include <system_error>

namespace holdfast {
namespace {

struct Meaning {
  Code code;
  const char* advice;
};

Meaning meaning_of(int error_number) {
  switch (error_number) {
    case ENOSPC:
      return {Code::unavailable, "free space on the disk"};
    case EDQUOT:
      return {Code::unavailable, "free space or raise the quota"};
    case EFBIG:
      return {Code::unavailable, "raise the file size limit (ulimit -f)"};
    case EMFILE:
      return {Code::unavailable, "raise the number of open files allowed to the process (ulimit -n)"};
    case ENFILE:
      return {Code::unavailable, "raise the number of open files allowed to the system (fs.file-max)"};
    case ENOMEM:
      return {Code::unavailable, "give the machine more memory"};
    case EIO:
      return {Code::unavailable, "the disk failed: look at the system log, then open the store again"};
    case EACCES:
    case EPERM:
      return {Code::permission_denied, "give this user access to it"};
    case EROFS:
      return {Code::permission_denied, "the file system is mounted read-only: mount it for writing"};
    case ENOENT:
      return {Code::not_found, "check the path"};
    case EEXIST:
      return {Code::already_exists, "choose another path"};
    case ENOTDIR:
    case EISDIR:
    case ENAMETOOLONG:
    case ELOOP:
      return {Code::invalid_argument, "check the path"};
    default:
      return {Code::unavailable, "look at the system log, then open the store again"};
  }
}

}  // namespace

Error posix_error(int error_number, const char* operation, const std::string& path) {
  const Meaning meaning = meaning_of(error_number);
  return {meaning.code, std::string("cannot ") + operation + " \"" + path +
                            "\": " + std::generic_category().message(error_number) + "; " + meaning.advice};
}

}  // namespace holdfast
