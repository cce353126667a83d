#pragma once

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <memory>
#include <optional>
#include <string>
#include <unordered_set>

#include "server/http_server.h"

namespace musaic {

class Connection;

// What the connections of one server share; outlives them.
struct ConnectionSet {
  const HttpLimits limits;
  const HttpHandler handler;
  std::shared_ptr<boost::asio::io_context> io;
  std::unordered_set<std::shared_ptr<Connection>> open;
  std::function<void(int answering)> on_answering;  // the number of requests being answered has changed
  int answering = 0;
};

using ByteCount = std::shared_ptr<std::atomic<size_t>>;  // shared by a reply and its connection

// One client socket. A single read loop feeds the parser and, while a request is being answered, notices that
// the client leaves; a single write loop empties the queue. Lives on the I/O thread only.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(boost::asio::ip::tcp::socket socket, ConnectionSet& set);

  void start();
  void close();  // at once; tells whoever answers that the client is gone

  // The answer to request number `exchange`; ignored when that is over.
  void respond(uint64_t exchange, HttpResponse response);
  void begin_stream(uint64_t exchange, const std::string& content_type, const HttpHeaders& headers);
  void write_chunk(uint64_t exchange, const std::string& data);
  void end_stream(uint64_t exchange);
  void abandon(uint64_t exchange);  // the handler dropped the request without a whole answer
  void when_drained(uint64_t exchange, std::function<void()> callback);
  void when_closed(uint64_t exchange, std::function<void()> callback);

 private:
  using Parser = boost::beast::http::request_parser<boost::beast::http::string_body>;
  enum class Deadline { kIdle, kHeader, kBody, kStall, kLinger };

  bool is_current(uint64_t exchange) const {
    return answering_ && exchange == exchange_ && !answer_complete_;
  }
  void read();
  void on_read(size_t bytes);
  void on_end_of_input();
  void parse();
  void begin_request();
  bool feed_parser();
  void answer_expectation();
  void on_parse_error(const boost::system::error_code& error);
  void dispatch();
  void refuse(int status, const std::string& message);
  void queue(std::string bytes, size_t counted);
  void write();
  void on_written(size_t bytes);
  void on_queue_empty();
  void complete_exchange();
  void linger();
  void arm(Deadline what);
  void disarm();
  void on_deadline();
  std::string head(int status, const std::string& content_type, const HttpHeaders& headers) const;

  boost::asio::ip::tcp::socket socket_;
  ConnectionSet& set_;
  boost::asio::steady_timer timer_;
  Deadline deadline_ = Deadline::kIdle;
  uint64_t timer_round_ = 0;  // tells a late expiry from the current one

  boost::beast::flat_buffer input_;
  std::optional<Parser> parser_;
  bool reading_ = false;
  bool input_ended_ = false;
  bool closed_ = false;
  bool lingering_ = false;

  uint64_t exchange_ = 0;  // number of the request being answered
  bool answering_ = false;
  bool streaming_ = false;
  bool chunked_ = false;
  bool head_only_ = false;
  bool keep_alive_ = true;
  bool expectation_answered_ = false;
  unsigned http_version_ = 11;

  struct Queue {
    std::string bytes;
    size_t counted = 0;  // of them in *queued_bytes_
  };
  Queue pending_;  // to write next
  Queue writing_;  // being written, from write_offset_ on
  size_t write_offset_ = 0;
  bool answer_complete_ = false;
  ByteCount queued_bytes_;
  std::function<void()> on_drained_;
  std::function<void()> on_closed_;
};

}  // namespace musaic
