#ifndef SLUICE_TESTS_E2E_LINE_H_
#define SLUICE_TESTS_E2E_LINE_H_

#include <atomic>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

namespace sluice {

/// A TCP connection that can fail: it listens on loopback and carries bytes to and from another address there.
class Line {
 public:
  explicit Line(const std::string& target);
  ~Line();
  Line(const Line&) = delete;
  Line& operator=(const Line&) = delete;

  const std::string& address() const { return address_; }
  /// Breaks every connection; new ones are taken.
  void Cut() { cut_ = true; }
  /// Carries nothing more, without a word to either side, until it is let go.
  void Hold(bool held) { held_ = held; }
  /// Carries so much to the other address, and no more; 0: all that comes.
  void Limit(double bytes_per_second) { limit_ = bytes_per_second; }
  uint64_t bytes() const { return bytes_; }

 private:
  struct Pair {
    int near = -1, far = -1;
  };

  void Loop();
  void Accept();
  bool Carry(int from, int to, double limit);

  std::string target_, address_;
  int listener_ = -1;
  std::vector<Pair> pairs_;
  std::atomic<bool> cut_ = false, held_ = false, stop_ = false;
  std::atomic<uint64_t> bytes_ = 0;
  std::atomic<double> limit_ = 0;
  std::thread thread_;
};

/// A socket that is connected to HOST:PORT on loopback; -1 when nobody listens.
int ConnectTo(const std::string& address);

}  // namespace sluice

#endif  // SLUICE_TESTS_E2E_LINE_H_
