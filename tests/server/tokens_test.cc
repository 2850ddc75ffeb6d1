// Who may do what: tokens over real sockets.
#include <gtest/gtest.h>

#include "tests/server/client.h"

namespace holdfast::testing_support {
namespace {

class TokenServer : public testing::Test {
 protected:
  static server::NewToken make(const char* name, const char* scopes) {
    return server::make_token(name, scopes, *system_random());
  }
  HttpAnswer ask(const std::string& method, const std::string& target, const std::string& secret,
                 const std::string& body = "") {
    return server_.request(method, target, body, {{"Authorization", "Bearer " + secret}});
  }

  const server::NewToken reader_ = make("reader", "read:*");
  const server::NewToken worker_ = make("worker", "write:jobs/,read:config");
  TestServer server_{"memory:", {}, "# tokens\n" + reader_.line + "\n\n" + worker_.line + "\n"};
};

TEST_F(TokenServer, WantsATokenForEverythingButItsHealth) {
  for (const char* open : {"/healthz", "/readyz", "/openapi.json", "/"})
    EXPECT_EQ(server_.get(open).status, 200);
  for (const char* closed : {"/metrics", "/v1/databases", "/v1/databases/a", "/v1/databases/a/entries/k"}) {
    const HttpAnswer answer = server_.get(closed);
    EXPECT_EQ(answer.status, 401) << closed;
    EXPECT_EQ(answer.code(), "permission_denied");
    EXPECT_TRUE(answer.headers.at("www-authenticate").starts_with("Bearer"));
  }
}

TEST_F(TokenServer, RefusesWhatIsNoTokenOfIts) {
  for (const std::string& wrong :
       {std::string("Bearer nonsense"), std::string("Bearer "), std::string("Bearer"),
        "Basic " + reader_.secret, reader_.secret, "Bearer " + reader_.secret + "x",
        "Bearer " + reader_.secret.substr(1), "Bearer " + reader_.line}) {
    EXPECT_EQ(server_.get("/v1/databases", {{"Authorization", wrong}}).status, 401) << wrong;
  }
  EXPECT_EQ(server_.get("/v1/databases", {{"Authorization", "bearer  " + reader_.secret}}).status, 200);
}

TEST_F(TokenServer, LetsATokenDoWhatItsScopesSay) {
  EXPECT_EQ(ask("PUT", "/v1/databases/jobs%2Fa/entries/k", worker_.secret, "v").status, 200);
  EXPECT_EQ(ask("GET", "/v1/databases/jobs%2Fa/entries/k", worker_.secret).body, "v");
  EXPECT_EQ(ask("GET", "/v1/databases/config/entries/k", worker_.secret).status, 404);
  EXPECT_EQ(ask("PUT", "/v1/databases/config/entries/k", worker_.secret, "v").status, 403);
  EXPECT_EQ(ask("GET", "/v1/databases/other/entries/k", worker_.secret).status, 403);
  EXPECT_EQ(ask("GET", "/v1/databases/job/entries/k", worker_.secret).status, 403);
  EXPECT_EQ(ask("GET", "/v1/databases/jobs%2Fa/entries/k", reader_.secret).body, "v");
  EXPECT_EQ(ask("DELETE", "/v1/databases/jobs%2Fa", reader_.secret).status, 403);
  EXPECT_EQ(ask("POST", "/v1/databases/jobs%2Fa/commit", reader_.secret, R"({"writes":[]})").status, 403);
  EXPECT_EQ(ask("DELETE", "/v1/databases/jobs%2Fa", worker_.secret).status, 200);
}

TEST_F(TokenServer, ListsOnlyWhatATokenMayRead) {
  server_.store().database("jobs/a").put("k", "v");
  server_.store().database("secret").put("k", "v");
  EXPECT_EQ(ask("GET", "/v1/databases", worker_.secret).json()["items"],
            nlohmann::json::parse(R"([{"name":"jobs/a"}])"));
  EXPECT_EQ(server_.get("/").body.find("secret"), std::string::npos);
  EXPECT_EQ(ask("GET", "/", worker_.secret).body.find("secret"), std::string::npos);
  EXPECT_NE(ask("GET", "/", reader_.secret).body.find("secret"), std::string::npos);
}

TEST_F(TokenServer, RefusesALargeBodyWithoutReadingIt) {
  HttpConnection connection(server_.port());
  connection.send("PUT /v1/databases/a/entries/k HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n");
  EXPECT_EQ(connection.receive().status, 401);
}

TEST_F(TokenServer, AnswersToAnyHostName) {
  EXPECT_EQ(server_.get("/healthz", {{"Host", "holdfast.example"}}).status, 200);
}

TEST_F(TokenServer, CanBeGivenOtherTokens) {
  const server::NewToken next = make("next", "read:*");
  server_.server().replace_tokens(server::Tokens::parse(next.line));
  EXPECT_EQ(ask("GET", "/v1/databases", next.secret).status, 200);
  EXPECT_EQ(ask("GET", "/v1/databases", reader_.secret).status, 401);
  EXPECT_THROW(server_.server().replace_tokens({}), Error) << "that would open the door to all";
  EXPECT_EQ(server_.get("/v1/databases").status, 401);
}

}  // namespace
}  // namespace holdfast::testing_support
