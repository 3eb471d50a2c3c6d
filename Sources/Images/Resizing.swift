// Resizing as Pillow does it (src/libImaging/Resample.c), to the bit: rows first, then columns, each value rounded to eight
// bits in between. Each output is a weighted mean of a window of inputs, which is as wide as the image is made smaller, so
// that nothing is left out; weights are whole numbers of 2⁻²².
//
// Rows come from the decoder one after the other and go through both steps at once, so that no whole image is held. Of an
// image that is stored lying on its side, the columns are rows.

import CImages
import Checkpoints

/// How values between pixels are found.
public enum Interpolation: String, Sendable, CaseIterable {
  /// A triangle, of torchvision's presets.
  case bilinear
  /// Keys' cubic with a = -1/2, of many of timm's.
  case bicubic

  /// How far the filter reaches at the size of the original.
  fileprivate var support: Double { self == .bilinear ? 1 : 2 }

  fileprivate func callAsFunction(_ distance: Double) -> Double {
    let (x, a) = (abs(distance), -0.5)
    switch self {
    case .bilinear: return x < 1 ? 1 - x : 0
    case .bicubic:
      if x < 1 { return ((a + 2) * x - (a + 3)) * x * x + 1 }
      return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0
    }
  }
}

/// What some outputs along one axis are made of.
struct ResizeAxis {
  /// For each output its window of inputs, counted from the first of `inputs`.
  private(set) var windows: [resize_window] = []
  private(set) var weights: [Int32] = []
  /// The inputs that are needed.
  private(set) var inputs: Range<Int> = 0..<0
  private let isReversed: Bool

  /// - Parameters:
  ///   - size: all inputs along the axis; `newSize`, all outputs.
  ///   - outputs: the outputs that are wanted.
  ///   - isReversed: whether inputs are stored from the other end.
  init(
    from size: Int, to newSize: Int, outputs: Range<Int>, isReversed: Bool, _ interpolation: Interpolation
  ) {
    self.isReversed = isReversed
    let scale = Double(size) / Double(newSize)
    let filterScale = max(scale, 1)
    let support = interpolation.support * filterScale
    var starts: [(first: Int, count: Int)] = []
    for output in outputs {
      let center = (Double(output) + 0.5) * scale
      let first = max(0, Int(center - support + 0.5))
      let count = min(size, Int(center + support + 0.5)) - first
      var values = (0..<count).map { interpolation((Double($0 + first) - center + 0.5) * (1 / filterScale)) }
      let sum = values.reduce(0, +)
      if sum != 0 { for index in values.indices { values[index] /= sum } }
      if isReversed { values.reverse() }
      windows.append(resize_window(first: 0, count: Int32(count), first_weight: Int32(weights.count)))
      starts.append((isReversed ? size - first - count : first, count))
      let one = Double(1 << 22)
      weights += values.map { Int32($0 < 0 ? -0.5 + $0 * one : 0.5 + $0 * one) }
    }
    let begin = starts.map(\.first).min() ?? 0
    inputs = begin..<(starts.map { $0.first + $0.count }.max() ?? 0)
    for (index, start) in starts.enumerated() { windows[index].first = Int32(start.first - begin) }
  }

  /// Outputs in the order in which their windows begin and end.
  var order: [Int] {
    let all = Array(windows.indices)
    return isReversed ? all.reversed() : all
  }

  /// How many windows have inputs in common, or lie between such, at most.
  var mostOverlapping: Int {
    let order = order
    var (most, later) = (1, 0)
    for (place, output) in order.enumerated() {
      let end = windows[output].first + windows[output].count
      while later < order.count, windows[order[later]].first < end { later += 1 }
      most = max(most, later - place)
    }
    return most
  }

  /// Calls `body` with the outputs of each pixel of a row, which begins at the first of ``inputs``.
  func resize(row: UnsafePointer<UInt8>, to target: UnsafeMutablePointer<UInt8>) {
    windows.withUnsafeBufferPointer { windows in
      weights.withUnsafeBufferPointer { weights in
        guard let windows = windows.baseAddress, let weights = weights.baseAddress else { return }
        resize_row(row, windows, self.windows.count, weights, target)
      }
    }
  }
}

/// Adds up rows to resized rows, as they come.
struct RowSums {
  private let axis: ResizeAxis
  /// The outputs in the order in which they begin, and end.
  private let order: [Int]
  /// Bytes in a row.
  private let count: Int
  /// The sums of outputs that some, but not all rows of which have come; they take turns.
  private var sums: [[Int32]]
  private var finished: [UInt8]
  /// Outputs of `order` before `ended` are done, and those from `begun` on not begun.
  private var (ended, begun) = (0, 0)
  private var next: Int32 = 0

  init(_ axis: ResizeAxis, count: Int) {
    self.axis = axis
    self.count = count
    order = axis.order
    sums = Array(repeating: [Int32](repeating: 0, count: count), count: axis.mostOverlapping)
    finished = [UInt8](repeating: 0, count: count)
  }

  /// Takes the next of the axis's inputs, and calls `body` with each output that it completes.
  mutating func add(
    _ row: UnsafePointer<UInt8>, _ body: (_ output: Int, _ row: UnsafePointer<UInt8>) -> Void
  ) {
    while begun < order.count, axis.windows[order[begun]].first <= next {
      sums[begun % sums.count].withUnsafeMutableBufferPointer { resize_clear($0.baseAddress, count) }
      begun += 1
    }
    for place in ended..<begun {
      let window = axis.windows[order[place]]
      let weight = axis.weights[Int(window.first_weight + next - window.first)]
      sums[place % sums.count].withUnsafeMutableBufferPointer {
        resize_add(row, count, weight, $0.baseAddress)
      }
    }
    next += 1
    while ended < begun {
      let window = axis.windows[order[ended]]
      guard window.first + window.count <= next else { break }
      sums[ended % sums.count].withUnsafeBufferPointer { resize_round($0.baseAddress, count, &finished) }
      finished.withUnsafeBufferPointer { if let start = $0.baseAddress { body(order[ended], start) } }
      ended += 1
    }
  }
}
