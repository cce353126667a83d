#include "server/http_reply.h"

#include <boost/asio/post.hpp>

namespace musaic {
namespace {

class ConnectionReply : public Reply {
 public:
  ConnectionReply(std::shared_ptr<boost::asio::io_context> io, std::weak_ptr<Connection> connection,
                  uint64_t exchange, ByteCount queued_bytes)
      : io_(std::move(io)),
        connection_(std::move(connection)),
        exchange_(exchange),
        queued_bytes_(std::move(queued_bytes)) {}

  ~ConnectionReply() override {
    if (!ended_) post([](Connection& connection, uint64_t exchange) { connection.abandon(exchange); });
  }

  void send(HttpResponse response) override {
    ended_ = true;
    response.headers.insert(response.headers.end(), headers_.begin(), headers_.end());
    post([response = std::move(response)](Connection& connection, uint64_t exchange) mutable {
      connection.respond(exchange, std::move(response));
    });
  }

  void begin_stream(std::string content_type) override {
    post([type = std::move(content_type), headers = headers_](Connection& connection, uint64_t exchange) {
      connection.begin_stream(exchange, type, headers);
    });
  }

  void write(std::string data) override {
    queued_bytes_->fetch_add(data.size());
    post([data = std::move(data)](Connection& connection, uint64_t exchange) {
      connection.write_chunk(exchange, data);
    });
  }

  void end_stream() override {
    ended_ = true;
    post([](Connection& connection, uint64_t exchange) { connection.end_stream(exchange); });
  }

  void add_header(std::string name, std::string value) override {
    headers_.emplace_back(std::move(name), std::move(value));
  }

  size_t queued_bytes() const override { return queued_bytes_->load(); }

  void when_drained(std::function<void()> callback) override {
    post([callback = std::move(callback)](Connection& connection, uint64_t exchange) mutable {
      connection.when_drained(exchange, std::move(callback));
    });
  }

  void when_closed(std::function<void()> callback) override {
    boost::asio::post(
        *io_, [connection = connection_, exchange = exchange_, callback = std::move(callback)]() mutable {
          if (const auto open = connection.lock()) {
            open->when_closed(exchange, std::move(callback));
          } else {
            callback();
          }
        });
  }

 private:
  template <class Task>
  void post(Task task) {
    boost::asio::post(*io_,
                      [connection = connection_, exchange = exchange_, task = std::move(task)]() mutable {
                        if (const auto open = connection.lock()) task(*open, exchange);
                      });
  }

  const std::shared_ptr<boost::asio::io_context>
      io_;  // shared: a reply may outlive the server, and then does nothing
  const std::weak_ptr<Connection> connection_;
  const uint64_t exchange_;
  const ByteCount queued_bytes_;
  HttpHeaders headers_;
  std::atomic<bool> ended_{false};
};

}  // namespace

std::shared_ptr<Reply> make_reply(std::shared_ptr<boost::asio::io_context> io,
                                  std::weak_ptr<Connection> connection, uint64_t exchange,
                                  ByteCount queued_bytes) {
  return std::make_shared<ConnectionReply>(std::move(io), std::move(connection), exchange,
                                           std::move(queued_bytes));
}

}  // namespace musaic
