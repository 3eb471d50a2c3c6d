// A histogram as a drawing of the size of a word.

import Checkpoints

struct Sparkline {
  private let statistics: TensorStatistics
  private static let width = 96.0, height = 24.0

  init(_ statistics: TensorStatistics) { self.statistics = statistics }

  /// The outline of the bars over a base line, with a mark where zero is. What it shows stands in its title.
  var svg: HTML {
    guard let histogram = statistics.histogram, let minimum = statistics.minimum,
      let maximum = statistics.maximum
    else { return "<span class=\"none\">no finite values</span>" }
    if minimum == maximum { return "<span class=\"none\">all \(general(minimum, 4))</span>" }
    let (width, height) = (Sparkline.width, Sparkline.height)
    let largest = Double(max(1, histogram.counts.max() ?? 1))
    let step = width / Double(histogram.counts.count)
    var path = "M0 \(Int(height))"
    for count in histogram.counts {
      // What is there at all shows.
      let top = count == 0 ? height : min(height - 1, height * (1 - Double(count) / largest))
      path += "V\(Int(top))h\(Int(step.rounded()))"
    }
    path += "V\(Int(height))z"
    // Halves, as the whole width may be too large for a Double.
    let span = maximum / 2 - minimum / 2
    let zero = span > 0 ? (0 - minimum / 2) / span * width : -1
    let mark: HTML =
      (0...width).contains(zero) ? "<path class=\"zero\" d=\"M\(Int(zero)) 0v\(Int(height))\"/>" : ""
    let title =
      "\(general(minimum, 3)) to \(general(maximum, 3)), σ \(general(statistics.standardDeviation ?? 0, 3))"
    return """
      <svg class="spark" viewBox="0 0 \(Int(width)) \(Int(height))" width="\(Int(width))" height="\(Int(height))" \
      role="img"><title>\(title)</title>\(mark)<path d="\(path)"/></svg>
      """
  }
}
