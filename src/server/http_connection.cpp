#include "server/http_connection.h"

#include <fmt/format.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>
#include <boost/beast/http/error.hpp>
#include <utility>

#include "server/api_error.h"
#include "server/http_reply.h"

namespace musaic {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;

constexpr size_t kReadBytes = 64u << 10;
constexpr size_t kMaxPipelinedBytes = 256u << 10;  // read ahead while a request is being answered
constexpr std::chrono::milliseconds kLingerTimeout{2'000};

std::string field(const http::request<http::string_body>& message, http::field name) {
  const auto it = message.find(name);
  return it == message.end() ? "" : std::string(it->value());
}

HttpRequest take_request(http::request<http::string_body>&& message) {
  HttpRequest request;
  request.method = std::string(message.method_string());
  if (message.method() == http::verb::head) request.method = "GET";
  const std::string target(message.target());
  const size_t mark = target.find('?');
  request.path = percent_decode(target.substr(0, mark), false);
  if (mark != std::string::npos) request.query = target.substr(mark + 1);
  request.authorization = field(message, http::field::authorization);
  request.origin = field(message, http::field::origin);
  request.host = field(message, http::field::host);
  request.preflight = message.count(http::field::access_control_request_method) > 0;
  request.body = std::move(message.body());
  return request;
}

}  // namespace

Connection::Connection(asio::ip::tcp::socket socket, ConnectionSet& set)
    : socket_(std::move(socket)), set_(set), timer_(*set.io) {}

void Connection::start() {
  boost::system::error_code ignored;
  socket_.set_option(asio::ip::tcp::no_delay(true), ignored);
  socket_.set_option(asio::socket_base::keep_alive(true), ignored);
  parse();
  read();
}

void Connection::close() {
  if (closed_) return;
  closed_ = true;
  disarm();
  boost::system::error_code ignored;
  socket_.close(ignored);
  if (answering_) {
    answering_ = false;
    set_.on_answering(--set_.answering);
  }
  if (auto callback = std::exchange(on_closed_, nullptr)) callback();
  on_drained_ = nullptr;
  set_.open.erase(shared_from_this());
}

void Connection::read() {
  const bool enough = answering_ && input_.size() >= kMaxPipelinedBytes;
  if (reading_ || closed_ || input_ended_ || enough) return;
  reading_ = true;
  socket_.async_read_some(input_.prepare(kReadBytes),
                          [self = shared_from_this()](const boost::system::error_code& error, size_t bytes) {
                            self->reading_ = false;
                            if (self->closed_) return;
                            if (error == asio::error::eof) return self->on_end_of_input();
                            if (error) return self->close();
                            self->on_read(bytes);
                          });
}

void Connection::on_read(size_t bytes) {
  if (!lingering_) {
    input_.commit(bytes);
    parse();
  }
  read();
}

void Connection::on_end_of_input() {
  input_ended_ = true;
  if (!answering_ || lingering_) return close();
  if (auto callback = std::exchange(on_closed_, nullptr)) callback();
}

void Connection::parse() {
  while (!answering_ && !closed_ && !lingering_) {
    if (!parser_) begin_request();
    if (!parser_ || !feed_parser()) break;
  }
  if (input_ended_ && !answering_ && !lingering_) close();
}

void Connection::begin_request() {
  while (input_.size() > 0) {  // empty lines before a request are to be ignored
    const char first = *static_cast<const char*>(input_.data().data());
    if (first != '\r' && first != '\n') break;
    input_.consume(1);
  }
  if (input_.size() == 0) return arm(Deadline::kIdle);
  parser_.emplace();
  parser_->header_limit(static_cast<uint32_t>(set_.limits.max_header_bytes));
  parser_->body_limit(set_.limits.max_body_bytes);
  parser_->eager(true);
  expectation_answered_ = false;
  arm(Deadline::kHeader);
}

// False when nothing is left to do until more bytes arrive.
bool Connection::feed_parser() {
  if (input_.size() == 0) return false;
  const bool had_header = parser_->is_header_done();
  boost::system::error_code error;
  const size_t used = parser_->put(input_.data(), error);
  input_.consume(used);
  if (error && error != http::error::need_more) {
    on_parse_error(error);
    return false;
  }
  if (parser_->is_done()) {
    dispatch();
    return false;
  }
  if (!had_header && parser_->is_header_done()) {
    arm(Deadline::kBody);
    answer_expectation();
  }
  return used > 0;
}

void Connection::answer_expectation() {
  if (expectation_answered_ || parser_->get().count(http::field::expect) == 0) return;
  expectation_answered_ = true;
  queue("HTTP/1.1 100 Continue\r\n\r\n", 0);
}

void Connection::on_parse_error(const boost::system::error_code& error) {
  if (error == http::error::header_limit) {
    return refuse(
        431, fmt::format("the request's headers are larger than {} bytes", set_.limits.max_header_bytes));
  }
  if (error == http::error::body_limit) {
    return refuse(413, fmt::format("the request's body is larger than {} bytes", set_.limits.max_body_bytes));
  }
  refuse(400, fmt::format("not an HTTP/1.1 request: {}", error.message()));
}

// Answers a request that could not be read, then closes.
void Connection::refuse(int status, const std::string& message) {
  disarm();
  keep_alive_ = false;
  head_only_ = false;
  answering_ = true;
  answer_complete_ = false;
  queued_bytes_ = std::make_shared<std::atomic<size_t>>(0);
  ++exchange_;
  set_.on_answering(++set_.answering);
  respond(exchange_, error_response({.status = status, .message = message}));
}

void Connection::dispatch() {
  disarm();
  const auto& message = parser_->get();
  keep_alive_ = message.keep_alive();
  head_only_ = message.method() == http::verb::head;
  http_version_ = message.version();
  answering_ = true;
  answer_complete_ = false;
  streaming_ = false;
  queued_bytes_ = std::make_shared<std::atomic<size_t>>(0);
  ++exchange_;
  set_.on_answering(++set_.answering);
  HttpRequest request = take_request(parser_->release());
  parser_.reset();
  set_.handler(std::move(request), make_reply(set_.io, weak_from_this(), exchange_, queued_bytes_));
}

std::string Connection::head(int status, const std::string& content_type, const HttpHeaders& headers) const {
  std::string text = fmt::format("HTTP/1.1 {} {}\r\n", status, status_text(status));
  if (!content_type.empty()) text += fmt::format("Content-Type: {}\r\n", content_type);
  for (const auto& [name, value] : headers) text += fmt::format("{}: {}\r\n", name, value);
  if (!keep_alive_) text += "Connection: close\r\n";
  if (keep_alive_ && http_version_ < 11) text += "Connection: keep-alive\r\n";
  return text;
}

void Connection::respond(uint64_t exchange, HttpResponse response) {
  if (!is_current(exchange) || streaming_) return;
  std::string bytes =
      head(response.status, response.body.empty() ? "" : response.content_type, response.headers);
  if (response.status != 204) bytes += fmt::format("Content-Length: {}\r\n", response.body.size());
  bytes += "\r\n";
  if (!head_only_) bytes += response.body;
  answer_complete_ = true;
  queue(std::move(bytes), 0);
}

void Connection::begin_stream(uint64_t exchange, const std::string& content_type,
                              const HttpHeaders& headers) {
  if (!is_current(exchange) || streaming_) return;
  streaming_ = true;
  chunked_ = http_version_ >= 11;
  if (!chunked_) keep_alive_ = false;
  std::string bytes = head(200, content_type, headers);
  bytes += chunked_ ? "Cache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n"
                    : "Cache-Control: no-cache\r\n\r\n";
  queue(std::move(bytes), 0);
}

void Connection::write_chunk(uint64_t exchange, const std::string& data) {
  if (!is_current(exchange) || !streaming_ || data.empty()) return;
  if (head_only_) {
    queued_bytes_->fetch_sub(data.size());
    return;
  }
  queue(chunked_ ? fmt::format("{:x}\r\n{}\r\n", data.size(), data) : data, data.size());
}

void Connection::end_stream(uint64_t exchange) {
  if (!is_current(exchange) || !streaming_) return;
  answer_complete_ = true;
  queue(chunked_ && !head_only_ ? "0\r\n\r\n" : "", 0);
}

void Connection::abandon(uint64_t exchange) {
  if (!is_current(exchange)) return;
  if (streaming_) return close();
  respond(exchange,
          error_response({.status = 500, .message = "the request was dropped", .type = "server_error"}));
}

void Connection::when_drained(uint64_t exchange, std::function<void()> callback) {
  if (!is_current(exchange) || closed_) return;
  if (writing_.bytes.empty() && pending_.bytes.empty()) return callback();
  on_drained_ = std::move(callback);
}

void Connection::when_closed(uint64_t exchange, std::function<void()> callback) {
  const bool over = !is_current(exchange);
  if (over && !closed_) return;
  if (closed_ || input_ended_) return callback();
  on_closed_ = std::move(callback);
}

void Connection::queue(std::string bytes, size_t counted) {
  pending_.bytes += bytes;
  pending_.counted += counted;
  if (writing_.bytes.empty()) write();
}

void Connection::write() {
  if (closed_) return;
  if (write_offset_ == writing_.bytes.size()) {
    if (queued_bytes_) queued_bytes_->fetch_sub(writing_.counted);
    writing_ = std::exchange(pending_, {});
    write_offset_ = 0;
  }
  if (writing_.bytes.empty()) return on_queue_empty();
  arm(Deadline::kStall);
  socket_.async_write_some(
      asio::buffer(writing_.bytes.data() + write_offset_, writing_.bytes.size() - write_offset_),
      [self = shared_from_this()](const boost::system::error_code& error, size_t bytes) {
        if (self->closed_) return;
        if (error) return self->close();
        self->on_written(bytes);
      });
}

void Connection::on_written(size_t bytes) {
  write_offset_ += bytes;
  write();
}

void Connection::on_queue_empty() {
  if (!answering_) return parser_ ? arm(Deadline::kBody) : disarm();  // only a 100 Continue was written
  disarm();
  if (auto callback = std::exchange(on_drained_, nullptr)) callback();
  if (answer_complete_) complete_exchange();
}

void Connection::complete_exchange() {
  on_closed_ = nullptr;
  on_drained_ = nullptr;
  answering_ = false;
  streaming_ = false;
  set_.on_answering(--set_.answering);
  if (!keep_alive_) return linger();
  parse();
  read();
}

// Ends our side, and discards what the client still sends so that it can read our answer before a reset.
void Connection::linger() {
  if (input_ended_) return close();
  lingering_ = true;
  boost::system::error_code ignored;
  socket_.shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
  input_.clear();
  arm(Deadline::kLinger);
  read();
}

void Connection::arm(Deadline what) {
  const HttpLimits& limits = set_.limits;
  std::chrono::milliseconds delay = kLingerTimeout;
  if (what == Deadline::kIdle) delay = limits.idle_timeout;
  if (what == Deadline::kHeader) delay = limits.header_timeout;
  if (what == Deadline::kBody) delay = limits.body_timeout;
  if (what == Deadline::kStall) delay = limits.stall_timeout;
  deadline_ = what;
  timer_.expires_after(delay);
  timer_.async_wait(
      [self = shared_from_this(), round = ++timer_round_](const boost::system::error_code& error) {
        if (!error && round == self->timer_round_ && !self->closed_) self->on_deadline();
      });
}

void Connection::disarm() {
  ++timer_round_;
  timer_.cancel();
}

void Connection::on_deadline() {
  if (deadline_ == Deadline::kHeader) return refuse(408, "the request's headers did not arrive in time");
  if (deadline_ == Deadline::kBody) return refuse(408, "the request's body did not arrive in time");
  close();
}

}  // namespace musaic
