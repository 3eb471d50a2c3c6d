// Groups of few channels that are multiplied as one, with zeros from one to another: what they do with an input
// that isn't finite. Zero times infinity is NaN, and it would come out in every one of them.

import Synchronization
import Vectors

/// Groups that are multiplied as one matrix.
struct JoinedGroups {
  /// Input channels and output channels of one of them.
  let inputs: Int
  let outputs: Int
  let count: Int

  /// The product element by element, each column with the rows of its own group alone.
  func multiply(_ product: MatrixProduct) {
    let (layout, inputsOfAll) = (product.layout, inputs * count)
    for row in 0..<product.rows {
      let left = product.left + row * product.leftStride
      for column in product.columns {
        let place = row * product.stride + column - product.columns.lowerBound
        let weights = product.weights + layout.place(column)
        let firstInput = column / outputs * inputs
        var sum = product.residual?[place] ?? 0
        for tap in stride(from: 0, to: layout.depth, by: inputsOfAll) {
          for k in tap + firstInput..<tap + firstInput + inputs {
            sum += left[k] * weights[k * layout.rowStride]
          }
        }
        let bias = product.bias?[column - product.columns.lowerBound] ?? 0
        product.target[place] = (sum + bias).within(product.bounds)
      }
    }
  }
}

extension StepContext {
  /// Whether none of `count` Floats is infinite or NaN.
  func isFinite(_ values: ConstantFloats, count: Int) -> Bool {
    final class Finding: Sendable { let isFinite = Atomic(true) }
    let (finding, kernels) = (Finding(), kernels)
    split(count) { range in
      if !kernels.isFinite(values + range.lowerBound, range.count) {
        finding.isFinite.store(false, ordering: .relaxed)
      }
    }
    return finding.isFinite.load(ordering: .relaxed)
  }
}
