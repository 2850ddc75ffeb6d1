#include "server/config.h"

#include <gtest/gtest.h>

#include <set>

#include "holdfast/error.h"

namespace holdfast::server {
namespace {

std::string refusal(const ConfigSources& sources) {
  try {
    static_cast<void>(load_config(sources));
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::invalid_argument);
    return error.what();
  }
  return "accepted";
}

ConfigSources file(const std::string& text) { return {{}, {}, text, "holdfast.toml"}; }

TEST(Config, HasDefaults) {
  const ServerConfig config = load_config({});
  EXPECT_EQ(config.listen, "127.0.0.1:7411");
  EXPECT_EQ(config.worker_threads, 64u);
}

TEST(Config, SetsEverySettingFromEverySource) {
  for (const Setting& setting : settings()) {
    const auto value = [&](int i) {
      if (setting.name == "store") return "sqlite:" + std::to_string(i);
      if (setting.name == "listen") return "127.0.0.1:" + std::to_string(i);
      return setting.is_number ? std::to_string(setting.minimum + i) : "text" + std::to_string(i);
    };
    ConfigSources sources;
    if (setting.name.starts_with("tls_"))
      sources.flags = {{"tls_key_file", "x"}, {"tls_certificate_file", "x"}};
    sources.flags.erase(setting.name);
    const std::string shown = setting.is_number ? value(1) : "\"" + value(1) + "\"";
    sources.file_text =
        (setting.table.empty() ? "" : "[" + setting.table + "]\n") + setting.name + " = " + shown;
    EXPECT_EQ(setting.get(load_config(sources)), value(1)) << setting.name;
    sources.environment = [&](const std::string& variable) {
      return variable == setting.variable() ? std::optional(value(2)) : std::nullopt;
    };
    EXPECT_EQ(setting.get(load_config(sources)), value(2)) << setting.name;
    sources.flags[setting.name] = value(3);
    EXPECT_EQ(setting.get(load_config(sources)), value(3)) << setting.name;
  }
}

TEST(Config, NamesEachSettingOnceAndExplainsIt) {
  std::set<std::string> names;
  for (const Setting& setting : settings()) {
    EXPECT_TRUE(names.insert(setting.name).second);
    EXPECT_FALSE(setting.help.empty());
    EXPECT_LE(setting.minimum, setting.maximum);
  }
  EXPECT_TRUE(names.contains("max_connections"));
}

TEST(Config, RefusesUnknownKeysAndNamesTheNearest) {
  EXPECT_EQ(
      refusal(file("[server]\nmax_conections = 7")),
      "holdfast.toml, line 2: unknown key \"max_conections\" of [server]; did you mean \"max_connections\"?");
  EXPECT_NE(refusal(file("stor = \"memory:\"")).find("did you mean \"store\""), std::string::npos);
  EXPECT_NE(refusal(file("[sever]\nlisten = \"x\"")).find("did you mean \"server\""), std::string::npos);
  EXPECT_NE(refusal({{{"worker_thread", "7"}}, {}, "", ""}).find("worker_threads"), std::string::npos);
}

TEST(Config, RefusesWrongValuesAndSaysWhere) {
  EXPECT_NE(refusal(file("[server]\nio_threads = 0"))
                .find("line 2: \"io_threads\" is a whole number between 1 and 256"),
            std::string::npos);
  EXPECT_NE(refusal(file("[server]\nio_threads = \"2\"")).find("without quotes"), std::string::npos);
  EXPECT_NE(refusal(file("[server]\nio_threads = 2.5")).find("whole number"), std::string::npos);
  EXPECT_NE(refusal(file("store = 7")).find("in quotes"), std::string::npos);
  EXPECT_NE(refusal(file("server = 7")).find("[server]"), std::string::npos);
  EXPECT_NE(refusal(file("store = ")).find("not TOML"), std::string::npos);
  EXPECT_NE(refusal({{{"io_threads", "two"}}, {}, "", ""}).find("--io-threads"), std::string::npos);
  EXPECT_NE(refusal({{{"tls_key_file", "x"}}, {}, "", ""}).find("both"), std::string::npos);
  EXPECT_NE(refusal({{{"listen", "127.0.0.1"}}, {}, "", ""}).find("ADDRESS:PORT"), std::string::npos);
  EXPECT_NE(refusal({{{"listen", "::1:80"}}, {}, "", ""}).find("brackets"), std::string::npos);
  EXPECT_NE(refusal({{{"listen", "127.0.0.1:65536"}}, {}, "", ""}).find("ADDRESS:PORT"), std::string::npos);
}

TEST(Config, RefusesTextThatIsNoTomlWithoutAborting) {
  for (const char* text : {"[[[", "[", "[[", "[]", "[a.", "[a.]", "a", "a =", "a = [", "a = {", "= 1", "\"",
                           "[\x01]", "a.[b] = 1", "[[a]", "\xff"}) {
    EXPECT_NE(refusal(file(text)).find("holdfast.toml"), std::string::npos) << text;
  }
}

TEST(Config, SplitsAddresses) {
  EXPECT_EQ(split_address("[::1]:80"), (std::pair<std::string, std::uint16_t>("::1", 80)));
  EXPECT_EQ(split_address("localhost:0"), (std::pair<std::string, std::uint16_t>("127.0.0.1", 0)));
  EXPECT_TRUE(is_loopback_address("127.1.2.3"));
  EXPECT_TRUE(is_loopback_address("::1"));
  EXPECT_FALSE(is_loopback_address("0.0.0.0"));
  EXPECT_FALSE(is_loopback_address("::"));
}

}  // namespace
}  // namespace holdfast::server
