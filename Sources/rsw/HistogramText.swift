// A histogram as lines of text: with blocks of an eighth of a character on a terminal, else with plain characters.

import Checkpoints

struct HistogramText {
  private let histogram: TensorStatistics.Histogram
  private static let width = 40

  init(_ histogram: TensorStatistics.Histogram) { self.histogram = histogram }

  func lines(drawing: Bool) -> String {
    let largest = histogram.counts.max() ?? 0
    return table(
      histogram.counts.enumerated().map { part, count in
        let share = largest > 0 ? Double(count) / Double(largest) * Double(HistogramText.width) : 0
        return [
          general(histogram.edges[part], 4), "to", general(histogram.edges[part + 1], 4), grouped(count),
          drawing ? HistogramText.blocks(share) : HistogramText.marks(share),
        ]
      }, numeric: [0, 2, 3])
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
