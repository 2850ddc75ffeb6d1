// Ctrl-C, and a request to terminate: noticed between two steps of a command, and while it waits for input.
#pragma once

namespace holdfast::cli {

/// From here on Ctrl-C and a request to terminate are noticed by interrupted(); a second Ctrl-C ends at once.
/// Also makes a closed pipe an error of writing rather than a death.
void listen_for_interrupts();
bool interrupted();

/// Waits until `descriptor` has bytes to read or is at its end; false: interrupted, also if that was before
/// the call.
bool wait_for_input(int descriptor);

}  // namespace holdfast::cli
