#pragma once

#include <memory>

#include "server/http.h"
#include "server/http_connection.h"

namespace musaic {

// The reply to one request of a connection: carries every call over to the I/O thread.
std::shared_ptr<Reply> make_reply(std::shared_ptr<boost::asio::io_context> io,
                                  std::weak_ptr<Connection> connection, uint64_t exchange,
                                  ByteCount queued_bytes);

}  // namespace musaic
