// Pooling in double precision, as its definitions say: a part of the oracle.

import NN

extension ReferenceInterpreter.Array {
  /// The largest element of each window; padding is no element.
  func maxPool(_ window: Window, _ result: inout Self) {
    result.fill { n, c, y, x in
      elements(n, c, rows: window.places(y), columns: window.places(x)).max() ?? -.infinity
    }
  }

  /// The mean of each window. What lies behind the padding never counts.
  func averagePool(_ window: Window, countIncludePad: Bool, _ result: inout Self) {
    /// How many elements of the window at `index` count along a dimension of `size` elements.
    func counted(_ index: Int, _ size: Int) -> Int {
      let padding = countIncludePad ? window.padding : 0
      return window.places(index).filter { -padding..<size + padding ~= $0 }.count
    }
    result.fill { n, c, y, x in
      elements(n, c, rows: window.places(y), columns: window.places(x)).reduce(0, +)
        / Double(counted(y, shape[2]) * counted(x, shape[3]))
    }
  }

  /// The mean of each window over the input with zeros around it, so many that there is a window for every
  /// `stride` elements.
  func averagePoolSame(kernel: Int, stride: Int, _ result: inout Self) {
    /// The elements of a window along a dimension.
    func places(_ index: Int, _ dimension: Int) -> [Int] {
      let zeros = max(0, (result.shape[dimension] - 1) * stride + kernel - shape[dimension])
      return (0..<kernel).map { index * stride + $0 - zeros / 2 }
    }
    let (rows, columns) = (
      (0..<result.shape[2]).map { places($0, 2) }, (0..<result.shape[3]).map { places($0, 3) }
    )
    result.fill { n, c, y, x in
      elements(n, c, rows: rows[y], columns: columns[x]).reduce(0, +) / Double(kernel * kernel)
    }
  }

  func adaptiveAveragePool(_ result: inout Self) {
    let (height, width) = (result.shape[2], result.shape[3])
    result.fill { n, c, y, x in
      let window = elements(
        n, c, rows: Swift.Array(adaptiveWindow(y, of: height, over: shape[2])),
        columns: Swift.Array(adaptiveWindow(x, of: width, over: shape[3])))
      return window.reduce(0, +) / Double(window.count)
    }
  }

  /// Each window weighted by `[1, 2, 1] ⊗ [1, 2, 1] / 16`.
  func blurPool(_ window: Window, _ result: inout Self) {
    let weights = [0.25, 0.5, 0.25]
    result.fill { n, c, y, x in
      var sum = 0.0
      for (row, vertical) in zip(window.places(y), weights) {
        for (column, horizontal) in zip(window.places(x), weights) {
          sum +=
            vertical * horizontal * self[n, c, reflected(row, in: shape[2]), reflected(column, in: shape[3])]
        }
      }
      return sum
    }
  }

  /// The elements of some rows and columns, without those outside the image.
  private func elements(_ n: Int, _ c: Int, rows: [Int], columns: [Int]) -> [Double] {
    rows.filter { 0..<shape[2] ~= $0 }.flatMap { row in
      columns.filter { 0..<shape[3] ~= $0 }.map { self[n, c, row, $0] }
    }
  }
}

extension Window {
  /// Where the elements of the window at `index` lie along a dimension.
  fileprivate func places(_ index: Int) -> [Int] {
    (0..<kernel).map { index * stride + $0 * dilation - padding }
  }
}

/// The element that `index` stands for where the first and the last of `size` elements are mirrors.
func reflected(_ index: Int, in size: Int) -> Int {
  index < 0 ? -index : index < size ? index : 2 * (size - 1) - index
}

/// The part of `size` elements that output `index` of `count` is the mean of, as PyTorch divides it.
func adaptiveWindow(_ index: Int, of count: Int, over size: Int) -> Range<Int> {
  index * size / count..<((index + 1) * size + count - 1) / count
}
