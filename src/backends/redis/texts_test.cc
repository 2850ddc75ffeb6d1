// The texts of the backend: addresses, keys, records, what a server says about itself.
#include <gtest/gtest.h>

#include "backends/redis/address.h"
#include "backends/redis/codec.h"
#include "backends/redis/key_names.h"
#include "backends/redis/nodes.h"
#include "backends/redis/redis_backend.h"
#include "backends/redis/server_facts.h"
#include "tests/support/code_of.h"

namespace holdfast::redis {
namespace {

using testing_support::code_of;

std::vector<Address> addresses_of(const std::string& text) {
  const Url url = Url::parse(text);
  const BackendFactory factory = redis_factories().front();
  return parse_addresses(url, Options("redis:", factory.options, url.options));
}
Address address_of(const std::string& text) { return addresses_of(text).front(); }

TEST(RedisAddress, HasUserPasswordHostPortAndNumber) {
  const Address address = address_of("redis://us%40er:p%3Aw%2F@host:7000/3");
  EXPECT_EQ(address.user, "us@er");
  EXPECT_EQ(address.password, "p:w/");
  EXPECT_EQ(address.host, "host");
  EXPECT_EQ(address.port, "7000");
  EXPECT_EQ(address.database, 3);
  EXPECT_FALSE(address.tls);
}

TEST(RedisAddress, NamesSeveralNodesOfACluster) {
  const auto addresses = addresses_of("redis://:secret@one:7000,two,[::1]:7002?cluster=true");
  ASSERT_EQ(addresses.size(), 3u);
  EXPECT_EQ(addresses[0].text(), "one:7000");
  EXPECT_EQ(addresses[1].text(), "two:6379");
  EXPECT_EQ(addresses[2].text(), "[::1]:7002");
  for (const Address& address : addresses) {
    EXPECT_EQ(address.password, "secret");
    EXPECT_TRUE(address.cluster);
  }
}

TEST(RedisAddress, OfAClusterHasNeitherSocketNorNumber) {
  for (const char* url : {"redis://one,two", "redis:///run/redis.sock?cluster=true",
                          "redis://one/3?cluster=true", "redis://one?cluster=true&database=1"}) {
    EXPECT_EQ(code_of([&] { addresses_of(url); }), Code::invalid_argument) << url;
  }
}

TEST(RedisSlots, AreThoseOfTheServer) {
  // CLUSTER KEYSLOT of "{00}", "{2a}" and "123456789" says so.
  EXPECT_EQ(slot_of_tag("123456789"), 12739);
  EXPECT_EQ(slot_of_tag(KeyNames::tag_text(0)), 13254);
  EXPECT_EQ(slot_of_tag(KeyNames::tag_text(42)), 8048);
}

TEST(RedisSlots, AreNamedByWhatRefusesToServeThem) {
  const auto redirection = [](const std::string& text) {
    redisReply reply{};
    reply.type = REDIS_REPLY_ERROR;
    std::string bytes = text;
    reply.str = bytes.data();
    reply.len = bytes.size();
    return redirection_of(reply);
  };
  const auto moved = redirection("MOVED 3999 127.0.0.1:6381");
  ASSERT_TRUE(moved.has_value());
  EXPECT_EQ(moved->kind, Redirection::Kind::moved);
  EXPECT_EQ(moved->host, "127.0.0.1");
  EXPECT_EQ(moved->port, "6381");
  EXPECT_EQ(redirection("ASK 3999 ::1:6381").value().kind, Redirection::Kind::ask);
  EXPECT_EQ(redirection("ASK 3999 ::1:6381").value().host, "::1");
  EXPECT_EQ(redirection("MOVED 3999 :6381").value().host, "");
  EXPECT_EQ(redirection("TRYAGAIN Multiple keys request during rehashing of slot").value().kind,
            Redirection::Kind::again);
  EXPECT_FALSE(redirection("CLUSTERDOWN The cluster is down").has_value());
  EXPECT_FALSE(redirection("ERR Function not found").has_value());
}

TEST(RedisAddress, IsTheUsualOneUnlessToldOtherwise) {
  const Address address = address_of("redis://");
  EXPECT_EQ(address.text(), "127.0.0.1:6379");
  EXPECT_EQ(address.database, 0);
  EXPECT_EQ(address_of("redis:///5").database, 5);
  EXPECT_EQ(address_of("redis://:secret@host").password, "secret");
  EXPECT_EQ(address_of("redis://host?database=4").database, 4);
}

TEST(RedisAddress, MayBeOfTheSixthVersion) {
  const Address address = address_of("redis://[::1]:7000");
  EXPECT_EQ(address.host, "::1");
  EXPECT_EQ(address.text(), "[::1]:7000");
}

TEST(RedisAddress, MayBeASocketOfThisMachine) {
  const Address address = address_of("redis:///run/redis/redis.sock?database=2&password=secret");
  EXPECT_EQ(address.socket_path, "/run/redis/redis.sock");
  EXPECT_EQ(address.database, 2);
  EXPECT_EQ(address.password, "secret");
}

TEST(RedisAddress, IsTlsByItsScheme) { EXPECT_TRUE(address_of("rediss://host").tls); }

TEST(RedisAddress, RefusesWhatMeansNothing) {
  for (const char* text : {"redis://host/three", "redis://host/1?database=2", "redis://host:port",
                           "redis://user@host", "redis://u:p@host?password=q", "rediss:///run/redis.sock",
                           "redis://host?tls_verify=false", "redis://[::1", "redis:relative/path"}) {
    EXPECT_EQ(code_of([&] { address_of(text); }), Code::invalid_argument) << text;
  }
}

TEST(RedisAddress, NeverRepeatsAPasswordInMessages) {
  for (const char* text : {"redis://user:hunter2@host/three", "redis://user:hunter2@host:port"}) {
    try {
      address_of(text);
      ADD_FAILURE() << text;
    } catch (const Error& error) {
      EXPECT_EQ(std::string(error.what()).find("hunter2"), std::string::npos) << error.what();
    }
  }
  EXPECT_EQ(address_of("redis://user:hunter2@host").text(), "host:6379");
}

TEST(RedisKeys, OfADatabaseBeginWithPrefixAndTag) {
  const DatabaseKeys keys = KeyNames("app:").of("agents/42");
  EXPECT_TRUE(keys.base.starts_with("app:{")) << keys.base;
  EXPECT_TRUE(keys.base.ends_with("}agents/42")) << keys.base;
  for (const std::string& key : keys.keys) EXPECT_TRUE(key.starts_with(keys.base.substr(0, 8))) << key;
}

TEST(RedisKeys, OfNamesWithBracesColonsAndBytesAreTheirOwn) {
  for (const Bytes& name : {Bytes("a}b{c"), Bytes("a:head"), Bytes("%41"), Bytes("\xC3\xA9 \x7F")}) {
    const std::string encoded = encode_name(name);
    EXPECT_EQ(encoded.find_first_of("{}: "), std::string::npos) << encoded;
    EXPECT_EQ(decode_name(encoded), name);
  }
  EXPECT_EQ(encode_name("a:b"), "a%3Ab");
}

TEST(RedisKeys, RefuseARegistryThatIsNotOurs) {
  EXPECT_EQ(code_of([] { decode_name("a%4"); }), Code::corruption);
  EXPECT_EQ(code_of([] { decode_name("a%zz"); }), Code::corruption);
}

TEST(RedisCodec, KeepsNumbersOfAllBits) {
  EXPECT_EQ(parse_hex(hex16(UINT64_MAX)), UINT64_MAX);
  EXPECT_EQ(hex16(0), "0000000000000000");
  EXPECT_EQ(parse_unsigned("18446744073709551615"), UINT64_MAX);
  EXPECT_EQ(parse_signed("-9223372036854775808"), INT64_MIN);
  for (const char* text : {"", "1x", "18446744073709551616", " 1"}) {
    EXPECT_EQ(code_of([&] { parse_unsigned(text); }), Code::corruption) << text;
  }
}

TEST(RedisCodec, KeepsFences) {
  const Fence fence{Fence::State::moved, UINT64_MAX, "redis://elsewhere has spaces", {7, 9}, -5};
  EXPECT_EQ(decode_fence(encode_fence(fence)), fence);
  EXPECT_EQ(encode_fence({}), "");
  EXPECT_EQ(decode_fence(""), Fence{});
}

TEST(RedisCodec, ReadsEntriesWithAnyBytes) {
  const Entry entry = decode_entry("k", std::string("12 1700000000000 \0 a b", 22));
  EXPECT_EQ(entry.version, 12u);
  EXPECT_EQ(entry.expires_at_ms, 1'700'000'000'000);
  EXPECT_EQ(entry.value, std::string("\0 a b", 5));
  EXPECT_EQ(decode_entry("k", "3 - ").value, "");
  EXPECT_FALSE(decode_entry("k", "3 - ").expires_at_ms.has_value());
}

TEST(RedisCodec, NumbersTheAppliedBatchesUpToThePosition) {
  const GroupAnswer answer = decode_answer("00000000000000aa 12 +2,0,+1,3");
  EXPECT_EQ(answer.at, (Position{0xAA, 12}));
  EXPECT_EQ(answer.outcomes, (std::vector<Outcome>{{10, {}}, {11, {}}, {0, 0}, {12, {}}, {0, 3}}));
}

TEST(RedisCodec, GivesCommitsOfAnImportNoSeq) {
  EXPECT_EQ(decode_answer("0000000000000000 0 +2").outcomes, (std::vector<Outcome>{{0, {}}, {0, {}}}));
}

TEST(RedisFacts, AreReadFromInfo) {
  const ServerFacts facts = parse_info(
      "# Server\r\nredis_version:7.0.15\r\nrun_id:abc\r\nrole:master\r\nmaster_replid:def\r\n"
      "maxmemory_policy:noeviction\r\nconnected_slaves:2\r\naof_enabled:1\r\nloading:0\r\n");
  EXPECT_EQ(facts.identity, "abc:def");
  EXPECT_EQ(facts.version, "7.0.15");
  EXPECT_EQ(facts.replicas, 2);
  EXPECT_TRUE(facts.append_only);
  EXPECT_NO_THROW(judge_server(facts, {}));
}

TEST(RedisFacts, DecideWhetherAStoreMayBeKeptThere) {
  ServerFacts good;
  good.identity = "abc:def";
  good.version = "7.0.15";
  good.role = "master";
  good.eviction = "noeviction";
  EXPECT_NO_THROW(judge_server(good, {}));
  const auto code = [&](auto change) {
    ServerFacts facts = good;
    change(facts);
    return code_of([&] { judge_server(facts, {}); });
  };
  EXPECT_EQ(code([](ServerFacts& facts) { facts.eviction = "allkeys-lru"; }), Code::capability_missing);
  EXPECT_EQ(code([](ServerFacts& facts) { facts.version = "6.2.7"; }), Code::capability_missing);
  EXPECT_EQ(code([](ServerFacts& facts) { facts.identity = ":"; }), Code::capability_missing);
  EXPECT_EQ(code([](ServerFacts& facts) { facts.cluster = true; }), Code::invalid_argument);
  EXPECT_EQ(code([](ServerFacts& facts) { facts.role = "slave"; }), Code::unavailable);
  EXPECT_EQ(code([](ServerFacts& facts) { facts.loading = true; }), Code::unavailable);
  Address in_a_cluster;
  in_a_cluster.cluster = true;
  EXPECT_EQ(code_of([&] { judge_server(good, in_a_cluster); }), Code::invalid_argument);
  good.eviction = "volatile-lru";
  EXPECT_NO_THROW(judge_server(good, {}));
}

}  // namespace
}  // namespace holdfast::redis
