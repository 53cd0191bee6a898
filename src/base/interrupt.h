#ifndef SLUICE_BASE_INTERRUPT_H_
#define SLUICE_BASE_INTERRUPT_H_

namespace sluice {

/// From now on SIGINT and SIGTERM set a flag that long work polls; a second SIGINT ends the process at once.
void CatchInterrupts();

/// Whether the user or the system asked to stop since CatchInterrupts.
bool InterruptRequested();

}  // namespace sluice

#endif  // SLUICE_BASE_INTERRUPT_H_
