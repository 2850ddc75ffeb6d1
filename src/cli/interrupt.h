// Ctrl-C, and a request to terminate: noticed between two steps of a command, and while it waits for input.
#pragma once

#include <string>

namespace holdfast::cli {

/// From here on Ctrl-C and a request to terminate are noticed by interrupted(); a second Ctrl-C ends at once.
/// Also makes a closed pipe an error of writing rather than a death.
void listen_for_interrupts();
bool interrupted();

/// From here on an interrupt ends the process at once with kExitInterrupted and tells the standard error
/// output `last_words`: for a long call into the store that a crash may end as well. Lasts for the process.
void end_at_once_when_interrupted(std::string last_words);

/// Waits until `descriptor` has bytes to read or is at its end; false: interrupted, also if that was before
/// the call.
bool wait_for_input(int descriptor);

}  // namespace holdfast::cli
