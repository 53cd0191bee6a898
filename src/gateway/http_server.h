#ifndef SLUICE_GATEWAY_HTTP_SERVER_H_
#define SLUICE_GATEWAY_HTTP_SERVER_H_

#include <httplib.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/status.h"
#include "gateway/client_stream.h"
#include "wire/trust.h"

namespace sluice {

/// A TLS 1.3 server's context from the certificate and key of `trust`; clients need no certificate.
/// Errors: InvalidArgument for files that do not belong together; Io.
Result<SslContext> MakeServerTls(const TrustOptions& trust);

/// The threads of an HTTP server, one for each connection. A single one more turns away the connections beyond them;
/// what comes faster than it can be told is dropped, in the thread that accepts.
class ConnectionPool final : public httplib::TaskQueue {
 public:
  explicit ConnectionPool(size_t threads);
  void enqueue(std::function<void()> task) override;
  void shutdown() override;

  enum class Reception : uint8_t { kServe, kTurnAway, kDrop };
  /// What the task that runs in this thread has to do with its client.
  static Reception ReceptionHere();

 private:
  static constexpr size_t kMostTurnedAway = 64;  // that wait to be told

  struct Queue {
    size_t limit = 0;
    size_t busy = 0;
    std::deque<std::function<void()>> tasks{};
    std::condition_variable changed{};
  };
  void Loop(Queue& queue);

  std::mutex mutex_;
  Queue served_, turned_away_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

/// httplib's server on connections of our own: one request each, with deadlines. What a request may contain beyond what
/// the routes look at is cut off: no ranges, no compression.
class HttpServer final : public httplib::Server {
 public:
  /// `tls`: null for plain HTTP.
  HttpServer(SslContext tls, const ClientPatience& patience, size_t connections);

  /// The connection whose request this thread handles.
  static const ClientStream& CurrentClient();
  uint64_t refused() const { return refused_; }

 private:
  bool process_and_close_socket(int socket) override;
  void Serve(int socket);

  SslContext tls_;
  ClientPatience patience_;
  std::atomic<uint64_t> refused_ = 0;
};

}  // namespace sluice

#endif  // SLUICE_GATEWAY_HTTP_SERVER_H_
