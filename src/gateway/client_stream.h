#ifndef SLUICE_GATEWAY_CLIENT_STREAM_H_
#define SLUICE_GATEWAY_CLIENT_STREAM_H_

#include <httplib.h>
#include <openssl/ssl.h>

#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"

namespace sluice {

struct SslContextDeleter {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};
struct SslDeleter {
  void operator()(SSL* ssl) const { SSL_free(ssl); }
};
using SslContext = std::unique_ptr<SSL_CTX, SslContextDeleter>;

struct ClientPatience {
  double request_seconds = 30;     ///< from the connection to the last byte of a request, TLS handshake included
  size_t request_bytes = 1 << 22;  ///< of a request as it comes over the connection, its head included
  double write_seconds = 20;       ///< for a client to take one piece of an answer
};

/// A client's connection with limits on time and bytes of whole requests, not of single reads, and TLS where a context
/// is given. Threads: one at a time.
class ClientStream final : public httplib::Stream {
 public:
  /// `socket` is set not to block, and stays the caller's.
  ClientStream(int socket, SSL_CTX* tls, const ClientPatience& patience);
  ~ClientStream() override;

  /// The TLS handshake, if there is TLS; false when it fails or takes too long.
  bool Open();
  /// False once the client has hung up, whatever it sent before.
  bool ClientThere() const;
  /// Whether the time for the request is over.
  bool Late() const { return Clock::now() >= request_deadline_; }

  bool is_readable() const override;
  bool is_writable() const override;
  ssize_t read(char* data, size_t size) override;
  ssize_t write(const char* data, size_t size) override;
  void get_remote_ip_and_port(std::string& ip, int& port) const override;
  void get_local_ip_and_port(std::string& ip, int& port) const override;
  int socket() const override { return socket_; }

 private:
  bool Wait(short events, Clock::time_point deadline) const;
  ssize_t ReadSome(char* data, size_t size);
  ssize_t WriteSome(const char* data, size_t size);
  short Wanted(int result, short otherwise) const;
  /// No more is read: too late or too much. Answers may still go out.
  bool Deaf() const { return Late() || bytes_left_ == 0; }

  int socket_;
  std::unique_ptr<SSL, SslDeleter> ssl_;
  ClientPatience patience_;
  Clock::time_point request_deadline_;
  std::vector<char> buffer_;  // read ahead: HTTP is parsed byte by byte
  size_t buffer_begin_ = 0, buffer_end_ = 0;
  size_t bytes_left_;
  bool failed_ = false;
};

}  // namespace sluice

#endif  // SLUICE_GATEWAY_CLIENT_STREAM_H_
