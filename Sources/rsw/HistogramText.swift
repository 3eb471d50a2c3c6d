// A histogram as lines of text: with blocks of an eighth of a character on a terminal, else with plain characters.

import Checkpoints

struct HistogramText {
  private let histogram: TensorStatistics.Histogram

  init(_ histogram: TensorStatistics.Histogram) { self.histogram = histogram }

  func lines(drawing: Bool) -> String {
    let largest = histogram.counts.max() ?? 0
    var rows = histogram.counts.enumerated().map { part, count in
      [general(histogram.edges[part], 4), "to", general(histogram.edges[part + 1], 4), grouped(count)]
    }
    let numeric: Set = [0, 2, 3]
    let width = Terminal.barWidth(beside: table(rows, numeric: numeric), longest: 40)
    for (part, count) in histogram.counts.enumerated() where width > 0 {
      let share = largest > 0 ? Double(count) / Double(largest) * Double(width) : 0
      rows[part].append(drawing ? HistogramText.blocks(share) : HistogramText.marks(share))
    }
    return table(rows, numeric: numeric)
  }

  /// What is there at all gets a mark.
  private static func marks(_ share: Double) -> String {
    String(repeating: "#", count: share > 0 ? max(1, Int(share.rounded())) : 0)
  }

  private static func blocks(_ share: Double) -> String {
    let eighths = share > 0 ? max(1, Int((share * 8).rounded())) : 0
    let rest = eighths % 8 == 0 ? "" : String("▏▎▍▌▋▊▉".dropFirst(eighths % 8 - 1).prefix(1))
    return String(repeating: "█", count: eighths / 8) + rest
  }
}
