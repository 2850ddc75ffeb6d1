// The results of a run of the benchmarks: as lines, as JSON, as a Markdown table and as a chart.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace holdfast::bench {

struct Side {
  std::string name;
  double per_second = 0;  ///< median of the rounds
  double p50_us = 0;      ///< of a call
  double p99_us = 0;
};

struct Row {
  std::string name;
  Side ours;
  Side peer;
  std::vector<double> ratios;  ///< one a round
  double ratio = 0;            ///< their median
  std::optional<double> at_least;
  std::optional<double> aim;
};

struct Figure {
  std::string name;
  std::string unit;
  double value = 0;
  std::optional<double> at_most;
  std::optional<double> aim;
};

struct Report {
  std::vector<Row> rows;
  std::vector<Figure> figures;
  bool reached() const;
};

std::string line_of(const Row& row);
std::string line_of(const Figure& figure);
/// results.json, results.md and results.svg in `folder`.
void write_files(const Report& report, const std::string& folder);

}  // namespace holdfast::bench
