#include "report.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>

namespace holdfast::bench {
namespace {

std::string fixed(double value, int digits) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}

/// 12345678 as "12,345,678".
std::string grouped(double value) {
  std::string digits = fixed(value, 0);
  for (auto at = static_cast<std::ptrdiff_t>(digits.size()) - 3; at > 0; at -= 3) {
    digits.insert(static_cast<std::size_t>(at), ",");
  }
  return digits;
}

/// Small numbers keep their digits.
std::string amount(double value) { return value < 100 ? fixed(value, 2) : grouped(value); }

std::string verdict(double value, std::optional<double> bound, std::optional<double> aim,
                    bool more_is_better) {
  const auto within = [&](std::optional<double> limit) {
    return limit && (more_is_better ? value >= *limit : value <= *limit);
  };
  if (within(aim)) return "aim reached";
  if (within(bound)) return "reached";
  return bound ? "MISSED" : "";
}

std::string verdict(const Row& row) { return verdict(row.ratio, row.at_least, row.aim, true); }
std::string verdict(const Figure& figure) { return verdict(figure.value, figure.at_most, figure.aim, false); }

std::string goal(std::optional<double> bound, std::optional<double> aim) {
  if (!bound) return "";
  return amount(*bound) + (aim ? " / " + amount(*aim) : "");
}

std::string json_of(const Side& side) {
  return "{\"name\":\"" + side.name + "\",\"per_second\":" + fixed(side.per_second, 1) +
         ",\"p50_us\":" + fixed(side.p50_us, 3) + ",\"p99_us\":" + fixed(side.p99_us, 3) + "}";
}

std::string json_of(std::optional<double> number) { return number ? fixed(*number, 3) : "null"; }

std::string json_of(const Report& report) {
  std::string out = "{\"ratios\":[";
  for (const Row& row : report.rows) {
    out += std::string(out.back() == '[' ? "" : ",") + "\n {\"name\":\"" + row.name +
           "\",\"ours\":" + json_of(row.ours) + ",\"peer\":" + json_of(row.peer) +
           ",\"ratio\":" + fixed(row.ratio, 3) + ",\"ratios\":[";
    for (const double ratio : row.ratios) out += std::string(out.back() == '[' ? "" : ",") + fixed(ratio, 3);
    out += "],\"at_least\":" + json_of(row.at_least) + ",\"aim\":" + json_of(row.aim) + "}";
  }
  out += "],\n\"figures\":[";
  for (const Figure& figure : report.figures) {
    out += std::string(out.back() == '[' ? "" : ",") + "\n {\"name\":\"" + figure.name +
           "\",\"value\":" + fixed(figure.value, 3) + ",\"unit\":\"" + figure.unit +
           "\",\"at_most\":" + json_of(figure.at_most) + ",\"aim\":" + json_of(figure.aim) + "}";
  }
  return out + "]}\n";
}

std::string markdown_of(const Report& report) {
  std::string out =
      "| work | ours /s (p50, p99 us) | peer /s (p50, p99 us) | ratio (min to max) | at least / aim | |\n"
      "|---|---|---|---|---|---|\n";
  const auto side = [](const Side& each) {
    return each.name + " " + grouped(each.per_second) + " (" + amount(each.p50_us) + ", " +
           amount(each.p99_us) + ")";
  };
  for (const Row& row : report.rows) {
    const auto [low, high] = std::minmax_element(row.ratios.begin(), row.ratios.end());
    out += "| " + row.name + " | " + side(row.ours) + " | " + side(row.peer) + " | **" + fixed(row.ratio, 2) +
           "** (" + fixed(*low, 2) + " to " + fixed(*high, 2) + ") | " + goal(row.at_least, row.aim) + " | " +
           verdict(row) + " |\n";
  }
  if (report.figures.empty()) return out;
  out += "\n| figure | median | at most / aim | |\n|---|---|---|---|\n";
  for (const Figure& figure : report.figures) {
    out += "| " + figure.name + " | " + amount(figure.value) + " " + figure.unit + " | " +
           goal(figure.at_most, figure.aim) + " | " + verdict(figure) + " |\n";
  }
  return out;
}

/// Horizontal bars: our rate as a multiple of the peer's, with marks at 1 and at the least that is wanted.
std::string chart_of(const Report& report) {
  constexpr int kRow = 22;
  constexpr int kLabels = 420;
  constexpr int kWidth = 420;
  double most = 2;
  for (const Row& row : report.rows) most = std::max(most, std::min(row.ratio, 6.0));
  const auto x = [&](double ratio) { return fixed(kLabels + std::min(ratio, most) / most * kWidth, 1); };
  const int height = static_cast<int>(report.rows.size()) * kRow + 40;
  std::string out = "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"" +
                    std::to_string(kLabels + kWidth + 80) + "\" height=\"" + std::to_string(height) +
                    "\" font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" "
                    "fill=\"white\"/>\n";
  int y = 10;
  for (const Row& row : report.rows) {
    const std::string top = std::to_string(y);
    const std::string text = std::to_string(y + 13);
    const double width = std::min(row.ratio, most) / most * kWidth;
    const std::string colour = !row.at_least || row.ratio >= *row.at_least ? "#3a7d5c" : "#b5483a";
    out += "<text x=\"" + std::to_string(kLabels - 8) + "\" y=\"" + text + "\" text-anchor=\"end\">" +
           row.name + " / " + row.peer.name + "</text>\n<rect x=\"" + std::to_string(kLabels) + "\" y=\"" +
           top + "\" width=\"" + fixed(width, 1) + "\" height=\"16\" fill=\"" + colour + "\"/>\n<text x=\"" +
           fixed(kLabels + width + 5, 1) + "\" y=\"" + text + "\">" + fixed(row.ratio, 2) + "</text>\n";
    if (row.at_least) {
      out += "<line x1=\"" + x(*row.at_least) + "\" x2=\"" + x(*row.at_least) + "\" y1=\"" +
             std::to_string(y - 2) + "\" y2=\"" + std::to_string(y + 18) +
             "\" stroke=\"black\" stroke-width=\"2\"/>\n";
    }
    y += kRow;
  }
  out += "<line x1=\"" + x(1) + "\" x2=\"" + x(1) + "\" y1=\"4\" y2=\"" + std::to_string(y) +
         "\" stroke=\"#888\" stroke-dasharray=\"3\"/>\n<text x=\"" + x(1) + "\" y=\"" +
         std::to_string(y + 16) +
         "\" text-anchor=\"middle\" fill=\"#555\">1.0 = the peer; black: the least that is "
         "wanted</text>\n</svg>\n";
  return out;
}

void write(const std::string& path, const std::string& text) { std::ofstream(path) << text; }

}  // namespace

bool Report::reached() const {
  const auto fails = [](const auto& each) { return verdict(each) == "MISSED"; };
  return std::none_of(rows.begin(), rows.end(), fails) && std::none_of(figures.begin(), figures.end(), fails);
}

std::string line_of(const Row& row) {
  const auto [low, high] = std::minmax_element(row.ratios.begin(), row.ratios.end());
  char line[512];
  std::snprintf(
      line, sizeof line,
      "%-52s %12s/s  p50 %9s us  p99 %9s us | %-14s %12s/s  p50 %9s us  p99 %9s us | %5s x (%s..%s) %s",
      row.name.c_str(), grouped(row.ours.per_second).c_str(), amount(row.ours.p50_us).c_str(),
      amount(row.ours.p99_us).c_str(), row.peer.name.c_str(), grouped(row.peer.per_second).c_str(),
      amount(row.peer.p50_us).c_str(), amount(row.peer.p99_us).c_str(), fixed(row.ratio, 2).c_str(),
      fixed(*low, 2).c_str(), fixed(*high, 2).c_str(), verdict(row).c_str());
  return line;
}

std::string line_of(const Figure& figure) {
  char line[256];
  std::snprintf(line, sizeof line, "%-52s %12s %s %s", figure.name.c_str(), amount(figure.value).c_str(),
                figure.unit.c_str(), verdict(figure).c_str());
  return line;
}

void write_files(const Report& report, const std::string& folder) {
  std::filesystem::create_directories(folder);
  write(folder + "/results.json", json_of(report));
  write(folder + "/results.md", markdown_of(report));
  write(folder + "/results.svg", chart_of(report));
}

}  // namespace holdfast::bench
