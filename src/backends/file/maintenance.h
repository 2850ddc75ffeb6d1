// Check and repair of a folder that no process has open.
#pragma once

#include "contract/url.h"
#include "holdfast/environment.h"
#include "holdfast/maintenance.h"

namespace holdfast::file {

/// Reads everything and changes nothing.
CheckReport check_folder(const std::string& folder, const Environment& environment);

/// Brings a damaged store into a state that can be opened. Every file that it is going to replace is first
/// copied into a new folder "damaged-<number>" beside them. All intact records are saved that follow,
/// database by database, from what is intact before them; databases of a lane that is damaged get new
/// histories. May be interrupted at any point and run again.
CheckReport repair_folder(const std::string& folder, const Environment& environment);

/// Removes the files of a store that no process has open.
void remove_folder(const std::string& folder, const Environment& environment);

}  // namespace holdfast::file
