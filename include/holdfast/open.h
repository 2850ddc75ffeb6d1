// From a URL to a backend, for programs that build stacks of layers in code. Most programs want Store::open()
// instead.
#pragma once

#include <memory>
#include <string>

#include "holdfast/backend.h"
#include "holdfast/environment.h"
#include "holdfast/layers.h"

namespace holdfast {

/// Opens what `url` names, layers included. Throws invalid_argument naming the nearest known word for a
/// misspelt scheme, layer or option. The options of a store (clock_skew_limit_ms, timeout_ms, sweeper) are
/// accepted and judged, and have no effect on a bare backend. Metered layers of the URL count into `metrics`
/// if it is given.
std::unique_ptr<Backend> open_backend(View url, const Environment& environment = {},
                                      const std::shared_ptr<Metrics>& metrics = {});

/// Every scheme, layer and option of a URL with its default and what it does, as lines of plain text.
std::string describe_urls();

}  // namespace holdfast
