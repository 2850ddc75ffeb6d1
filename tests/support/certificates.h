// Certificates for tests of TLS, made by openssl.
#pragma once

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>

namespace holdfast::testing_support {

/// An authority of our own, a certificate for 127.0.0.1, and one for a client.
class Certificates {
 public:
  Certificates() {
    std::string pattern = (std::filesystem::temp_directory_path() / "holdfast_tls_XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("no folder for certificates");
    folder_ = pattern;
    run("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=authority "
        "-keyout " +
        file("authority.key") + " -out " + file("authority.crt"));
    for (const char* name : {"server", "client"}) {
      run("req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=" + std::string(name) +
          " -addext subjectAltName=IP:127.0.0.1 -keyout " + file(name + std::string(".key")) + " -out " +
          file("request"));
      run("x509 -req -copy_extensions copy -days 2 -CAcreateserial -in " + file("request") + " -CA " +
          file("authority.crt") + " -CAkey " + file("authority.key") + " -out " +
          file(name + std::string(".crt")));
    }
  }
  ~Certificates() {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  Certificates(const Certificates&) = delete;
  Certificates& operator=(const Certificates&) = delete;
  const std::string& folder() const { return folder_; }
  std::string file(const std::string& name) const { return folder_ + "/" + name; }

 private:
  static void run(const std::string& arguments) {
    const std::string command = "openssl " + arguments + " >/dev/null 2>&1";
    if (std::system(command.c_str()) != 0) throw std::runtime_error("openssl does not work: " + arguments);
  }
  std::string folder_;
};

}  // namespace holdfast::testing_support
