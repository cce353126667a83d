#include "server/http_server.h"

#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <thread>

#include "server/client_for_test.h"
#include "server/eventually_for_test.h"

namespace musaic {
namespace {

using namespace std::chrono_literals;

// Answers with what it was asked: "GET /path?query body".
void echo(HttpRequest&& request, const std::shared_ptr<Reply>& reply) {
  std::string text = request.method + " " + request.path + "?" + request.query + " " + request.body;
  reply->send({.status = 200, .body = std::move(text), .content_type = "text/plain", .headers = {}});
}

struct Served {
  explicit Served(HttpHandler handler = echo, HttpLimits limits = {}) : server(limits, std::move(handler)) {
    EXPECT_TRUE(server.listen("127.0.0.1", 0).ok());
  }
  HttpServer server;
};

TEST(HttpServer, AnswersOneRequestAfterAnotherOnAKeptConnection) {
  Served served;
  Client client(served.server.port());
  for (int i = 0; i < 3; ++i) {
    client.request("POST", "/a%20b?x=1", "body" + std::to_string(i));
    const ClientAnswer answer = client.read_answer();
    EXPECT_EQ(answer.status, 200);
    EXPECT_EQ(answer.body, "POST /a b?x=1 body" + std::to_string(i));
    EXPECT_EQ(answer.headers.count("connection"), 0u);
  }
}

TEST(HttpServer, ClosesAfterTheAnswerWhenAskedTo) {
  Served served;
  Client client(served.server.port());
  client.request("GET", "/", "", "Connection: close\r\n");
  const ClientAnswer answer = client.read_answer();
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.headers.at("connection"), "close");
  EXPECT_TRUE(client.at_end());
}

TEST(HttpServer, ClosesAfterAnHttp10Request) {
  Served served;
  Client client(served.server.port());
  client.send("GET /old HTTP/1.0\r\n\r\n");
  EXPECT_EQ(client.read_answer().body, "GET /old? ");
  EXPECT_TRUE(client.at_end());
}

TEST(HttpServer, AnswersPipelinedRequestsInTheirOrder) {
  Served served;
  Client client(served.server.port());
  std::string text;
  for (int i = 0; i < 20; ++i) text += "GET /" + std::to_string(i) + " HTTP/1.1\r\nHost: a\r\n\r\n";
  client.send(text);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(client.read_answer().body, "GET /" + std::to_string(i) + "? ");
}

TEST(HttpServer, AnswersAClientThatHasClosedItsHalf) {
  Served served;
  Client client(served.server.port());
  client.request("GET", "/a");
  client.request("GET", "/b");
  client.half_close();
  EXPECT_EQ(client.read_answer().body, "GET /a? ");
  EXPECT_EQ(client.read_answer().body, "GET /b? ");
  EXPECT_TRUE(client.at_end());
}

TEST(HttpServer, AnswersHeadWithoutABody) {
  Served served;
  Client client(served.server.port());
  client.request("HEAD", "/a");
  const ClientAnswer answer = client.read_answer(/*has_body=*/false);
  EXPECT_EQ(answer.headers.at("content-length"), "8");
  client.request("GET", "/b");
  EXPECT_EQ(client.read_answer().body, "GET /b? ");
}

TEST(HttpServer, SaysContinueBeforeTheBodyComes) {
  Served served;
  Client client(served.server.port());
  client.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
  EXPECT_EQ(client.read_answer().status, 100);
  client.send("data");
  EXPECT_EQ(client.read_answer().body, "POST /? data");
}

TEST(HttpServer, ReadsAChunkedBody) {
  Served served;
  Client client(served.server.port());
  client.send(
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
  EXPECT_EQ(client.read_answer().body, "POST /? abcde");
}

TEST(HttpServer, RefusesABodyOverTheLimitWithoutReadingIt) {
  Served served(echo, {.max_body_bytes = 1000});
  Client client(served.server.port());
  client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n");
  const ClientAnswer answer = client.read_answer();
  EXPECT_EQ(answer.status, 413);
  EXPECT_NE(answer.body.find("larger than 1000 bytes"), std::string::npos);
  EXPECT_TRUE(client.at_end());
}

TEST(HttpServer, RefusesAChunkedBodyThatGrowsOverTheLimit) {
  Served served(echo, {.max_body_bytes = 1000});
  Client client(served.server.port());
  client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n7d0\r\n" +
              std::string(2000, 'x') + "\r\n0\r\n\r\n");
  EXPECT_EQ(client.read_answer().status, 413);
}

TEST(HttpServer, RefusesHeadersOverTheLimit) {
  Served served;
  Client client(served.server.port());
  client.send("GET / HTTP/1.1\r\nHost: a\r\nX-Big: " + std::string(17 << 10, 'x') + "\r\n\r\n");
  EXPECT_EQ(client.read_answer().status, 431);
  EXPECT_TRUE(client.at_end());
}

TEST(HttpServer, RefusesWhatIsNotHttp) {
  Served served;
  Client client(served.server.port());
  client.send("\x16\x03\x01 hello\r\n\r\n");
  EXPECT_EQ(client.read_answer().status, 400);
  EXPECT_TRUE(client.at_end());
}

TEST(HttpServer, GivesUpOnHeadersThatComeTooSlowly) {
  Served served(echo, {.header_timeout = 100ms});
  Client client(served.server.port());
  client.send("GET / HT");
  EXPECT_EQ(client.read_answer().status, 408);
  EXPECT_TRUE(client.at_end());
}

TEST(HttpServer, GivesUpOnABodyThatComesTooSlowly) {
  Served served(echo, {.body_timeout = 100ms});
  Client client(served.server.port());
  client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
  EXPECT_EQ(client.read_answer().status, 408);
}

TEST(HttpServer, ClosesAConnectionThatSaysNothing) {
  Served served(echo, {.idle_timeout = 100ms});
  Client client(served.server.port());
  EXPECT_TRUE(client.at_end());
}

TEST(HttpServer, TellsTheHandlerThatTheClientHasLeft) {
  std::atomic<bool> left{false};
  std::mutex mutex;
  std::shared_ptr<Reply> held;
  Served served([&](HttpRequest&&, std::shared_ptr<Reply> reply) {
    reply->when_closed([&] { left = true; });
    const std::lock_guard lock(mutex);
    held = std::move(reply);
  });
  Client client(served.server.port());
  client.request("GET", "/");
  EXPECT_TRUE(eventually([&] {
    const std::lock_guard lock(mutex);
    return held != nullptr;
  }));
  EXPECT_FALSE(left);
  client.close();
  EXPECT_TRUE(eventually([&] { return left.load(); }));
}

TEST(HttpServer, AnswersWith500WhenTheHandlerDropsARequest) {
  Served served([](HttpRequest&&, const std::shared_ptr<Reply>&) {});
  Client client(served.server.port());
  client.request("GET", "/");
  EXPECT_EQ(client.read_answer().status, 500);
}

TEST(HttpServer, StreamsChunksAndKeepsTheConnection) {
  Served served([](HttpRequest&&, const std::shared_ptr<Reply>& reply) {
    reply->begin_stream("text/event-stream");
    reply->write("one");
    reply->write("two");
    reply->end_stream();
  });
  Client client(served.server.port());
  for (int i = 0; i < 2; ++i) {
    client.request("GET", "/");
    const ClientAnswer answer = client.read_answer();
    EXPECT_EQ(answer.headers.at("content-type"), "text/event-stream");
    EXPECT_EQ(answer.body, "onetwo");
  }
}

TEST(HttpServer, CountsWhatASlowClientHasNotTakenAndSaysWhenItHas) {
  constexpr size_t kChunk = 1 << 20;
  std::mutex mutex;
  std::shared_ptr<Reply> held;
  std::atomic<bool> drained{false};
  Served served([&](HttpRequest&&, std::shared_ptr<Reply> reply) {
    reply->begin_stream("text/plain");
    for (int i = 0; i < 16; ++i) reply->write(std::string(kChunk, 'x'));
    reply->when_drained([&] { drained = true; });
    const std::lock_guard lock(mutex);
    held = std::move(reply);
  });
  Client client(served.server.port(), /*receive_buffer_bytes=*/4096);
  client.request("GET", "/");
  EXPECT_EQ(client.read_head().status, 200);
  const auto reply = [&] {
    const std::lock_guard lock(mutex);
    return held;
  };
  ASSERT_TRUE(eventually([&] { return reply() != nullptr; }));
  EXPECT_GT(reply()->queued_bytes(), 8 * kChunk);
  EXPECT_FALSE(drained);
  std::string body;
  for (int i = 0; i < 16; ++i) client.read_chunk(body);
  EXPECT_EQ(body.size(), 16 * kChunk);
  EXPECT_TRUE(eventually([&] { return drained.load(); }));
  EXPECT_EQ(reply()->queued_bytes(), 0u);
}

TEST(HttpServer, CutsOffAClientThatTakesNothing) {
  std::atomic<bool> left{false};
  Served served(
      [&](HttpRequest&&, const std::shared_ptr<Reply>& reply) {
        reply->when_closed([&] { left = true; });
        reply->begin_stream("text/plain");
        reply->write(std::string(32 << 20, 'x'));
      },
      {.stall_timeout = 150ms});
  Client client(served.server.port(), /*receive_buffer_bytes=*/4096);
  client.request("GET", "/");
  EXPECT_TRUE(eventually([&] { return left.load(); }));
}

TEST(HttpServer, Serves128ConnectionsAtOnceOnOneThread) {
  constexpr int kClients = 128;
  std::mutex mutex;
  std::vector<std::shared_ptr<Reply>> waiting;
  Served served([&](HttpRequest&&, std::shared_ptr<Reply> reply) {
    const std::lock_guard lock(mutex);
    waiting.push_back(std::move(reply));
  });
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < kClients; ++i) {
    clients.push_back(std::make_unique<Client>(served.server.port()));
    clients.back()->request("GET", "/");
  }
  ASSERT_TRUE(eventually([&] {
    const std::lock_guard lock(mutex);
    return waiting.size() == kClients;
  }));
  for (const auto& reply : waiting)
    reply->send({.status = 200, .body = "ok", .content_type = "text/plain", .headers = {}});
  for (const auto& client : clients) EXPECT_EQ(client->read_answer().body, "ok");
}

TEST(HttpServer, SaysWhichAddressItCannotHave) {
  Served served;
  HttpServer second({}, echo);
  const Status status = second.listen("127.0.0.1", served.server.port());
  EXPECT_FALSE(status.ok());
  EXPECT_NE(status.message().find("cannot bind to 127.0.0.1:" + std::to_string(served.server.port())),
            std::string::npos);
}

TEST(HttpServer, RunsALaterTaskOnce) {
  Served served;
  std::atomic<int> runs{0};
  served.server.run_later(10ms, [&] { ++runs; });
  EXPECT_TRUE(eventually([&] { return runs == 1; }));
}

TEST(HttpServer, TakesNoProcessorTimeWhileIdle) {
  Served served;
  Client client(served.server.port());
  client.request("GET", "/");
  client.read_answer();
  const std::clock_t before = std::clock();
  std::this_thread::sleep_for(300ms);
  EXPECT_LT(static_cast<double>(std::clock() - before) / CLOCKS_PER_SEC, 0.03);
}

TEST(HttpServer, ReadsQueryValues) {
  EXPECT_EQ(query_value("a=1&timeout=2.5", "timeout"), "2.5");
  EXPECT_EQ(query_value("x=a%2Fb+c", "x"), "a/b c");
  EXPECT_EQ(query_value("a=1", "b"), "");
  EXPECT_EQ(percent_decode("%zz%4", false), "%zz%4");
}

}  // namespace
}  // namespace musaic
