#ifndef SLUICE_BASE_THREAD_H_
#define SLUICE_BASE_THREAD_H_

#include <system_error>
#include <thread>
#include <utility>

#include "base/status.h"

namespace sluice {

/// std::thread, but a limit on threads (TasksMax of a service, pids of a container) is an answer, no exception: whoever
/// serves many says no to one. Errors: Unavailable.
template <typename Work>
Result<std::thread> StartThread(Work&& work) {
  try {
    return std::thread(std::forward<Work>(work));
  } catch (const std::system_error& error) {
    return Unavailable(std::string("cannot start a thread: ") + error.what());
  }
}

}  // namespace sluice

#endif  // SLUICE_BASE_THREAD_H_
