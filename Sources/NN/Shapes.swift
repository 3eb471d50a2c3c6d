// The shape of every node of a graph for a given input, and the errors of inputs and parameters that don't fit.

package import Checkpoints

/// An input or a request that a model can't take.
public struct InputError: Error, Sendable, CustomStringConvertible {
  /// What does not fit, and what would.
  public let description: String

  package init(_ description: String) { self.description = description }
}

extension Graph {
  /// The shape of each node's result when the input has shape `input`.
  ///
  /// - Throws: ``InputError`` when the input is too small or too large or has the wrong number of channels.
  public func shapes(input: [Int]) throws(InputError) -> [[Int]] {
    guard input.allSatisfy({ $0 > 0 }) else {
      throw InputError("the input has shape \(input); every size must be at least 1.")
    }
    try check(input, input)
    var shapes: [[Int]] = []
    for (index, node) in nodes.enumerated() {
      let shape: [Int]
      if node.operation == .input {
        shape = input
      } else {
        do throws(InputError) {
          shape = try node.operation.shape(node.inputs.map { shapes[$0] })
        } catch {
          throw InputError("the input \(input) does not fit\(place(of: index)): \(error.description)")
        }
      }
      try check(shape, input)
      shapes.append(shape)
    }
    return shapes
  }

  /// More values than any machine holds; sums of such sizes, of operations too, are far from overflowing.
  private static let mostValues = 1 << 36

  /// Refuses a result whose size could not be computed with.
  private func check(_ shape: [Int], _ input: [Int]) throws(InputError) {
    var count = 1
    for size in shape {
      let (product, overflows) = count.multipliedReportingOverflow(by: size)
      guard !overflows, product <= Graph.mostValues else {
        throw InputError("the input has shape \(input); that is more than can be computed with.")
      }
      count = product
    }
  }

  private func place(of node: Int) -> String {
    name(of: node).map { " at \"\($0)\"" } ?? ""
  }
}

extension Operation {
  /// The shape of the result for arguments of `shapes`.
  fileprivate func shape(_ shapes: [[Int]]) throws(InputError) -> [Int] {
    let x = shapes[0]
    switch self {
    case .input, .relu, .relu6, .sigmoid: return x
    case .batchNorm2d(let norm):
      try check(x, rank: 4, channels: norm.channels)
      return x
    case .groupNorm(let norm):
      try check(x, rank: 4, channels: norm.channels)
      guard norm.groups > 0, norm.channels.isMultiple(of: norm.groups) else {
        throw InputError("\(norm.channels) channels can't be divided into \(norm.groups) groups.")
      }
      return x
    case .conv2d(let convolution):
      try check(x, rank: 4, channels: convolution.inChannels)
      try convolution.checkGroups()
      return [x[0], convolution.outChannels] + (try windows(convolution.window, x))
    case .maxPool2d(let window), .avgPool2d(let window, _):
      try check(x, rank: 4)
      try window.checkPadding()
      return [x[0], x[1]] + (try windows(window, x))
    case .avgPool2dSame(_, let stride):
      try check(x, rank: 4)
      return [x[0], x[1], (x[2] + stride - 1) / stride, (x[3] + stride - 1) / stride]
    case .blurPool2d(let window):
      try check(x, rank: 4)
      guard min(x[2], x[3]) > window.padding else {
        throw InputError(
          "\(x[2]) × \(x[3]) is too small to be reflected; it takes at least \(window.padding + 1) × \(window.padding + 1)."
        )
      }
      return [x[0], x[1]] + (try windows(window, x))
    case .channelConvolution(let convolution):
      guard x.count == 4, x[2] == 1, x[3] == 1 else {
        throw InputError("\(x) arrives where [N, C, 1, 1] is due.")
      }
      guard !convolution.kernel.isMultiple(of: 2) else {
        throw InputError("a kernel of \(convolution.kernel) channels has no middle; take an odd number.")
      }
      return x
    case .subsample(let subsampling):
      try check(x, rank: 4, channels: subsampling.inChannels)
      let (channels, stride) = (subsampling.outChannels, subsampling.stride)
      guard channels >= x[1] else {
        throw InputError("a shortcut from \(x[1]) channels to \(channels) can't be made of zeros.")
      }
      return [x[0], channels, (x[2] + stride - 1) / stride, (x[3] + stride - 1) / stride]
    case .adaptiveAvgPool2d(let height, let width):
      try check(x, rank: 4)
      return [x[0], x[1], height, width]
    case .linear(let layer):
      try check(x, rank: 2, channels: layer.inFeatures)
      return [x[0], layer.outFeatures]
    case .flatten: return [x[0], x.dropFirst().reduce(1, *)]
    case .add:
      guard shapes[1] == x else { throw InputError("\(x) and \(shapes[1]) can't be added.") }
      return x
    case .multiply:
      guard x.count == 4, shapes[1] == [x[0], x[1], 1, 1] else {
        throw InputError("\(x) can't be multiplied by \(shapes[1]); that takes a gate [N, C, 1, 1].")
      }
      return x
    }
  }

  private func check(_ x: [Int], rank: Int, channels: Int? = nil) throws(InputError) {
    guard x.count == rank, channels == nil || x[1] == channels else {
      let wanted = channels.map(String.init) ?? "C"
      throw InputError(
        rank == 4
          ? "\(x) arrives where [N, \(wanted), H, W] is due." : "\(x) arrives where [N, \(wanted)] is due.")
    }
  }

  private func windows(_ window: Window, _ x: [Int]) throws(InputError) -> [Int] {
    guard min(window.kernel, window.stride, window.dilation) > 0, window.padding >= 0 else {
      throw InputError(
        "a window needs a kernel, a stride and a dilation of at least 1, and no negative padding.")
    }
    guard max(window.kernel, window.stride, window.dilation, window.padding) <= 1 << 20 else {
      throw InputError("a window's kernel, stride, dilation and padding are at most 1048576.")
    }
    let sizes = [window.count(x[2]), window.count(x[3])]
    guard sizes.allSatisfy({ $0 > 0 }) else {
      throw InputError("\(x[2]) × \(x[3]) is smaller than the window of \(window.kernel) × \(window.kernel).")
    }
    return sizes
  }
}

extension Convolution {
  /// Refuses channels that can't be divided into the groups.
  package func checkGroups() throws(InputError) {
    guard groups > 0, outChannels > 0, inChannels.isMultiple(of: groups), outChannels.isMultiple(of: groups)
    else {
      throw InputError("\(inChannels) and \(outChannels) channels can't be divided into \(groups) groups.")
    }
  }
}

extension Window {
  /// Refuses padding in which a whole window of a pooling could lie.
  func checkPadding() throws(InputError) {
    guard padding * 2 <= dilation * (kernel - 1) + 1 else {
      throw InputError("a padding of \(padding) is more than half of the window of \(kernel) × \(kernel).")
    }
  }
}

extension StateDict {
  /// The parameter of this name, which has to have this shape.
  package func parameter(_ name: String, shape: [Int]) throws(InputError) -> Tensor {
    guard let tensor = self[name] else { throw InputError("there is no parameter \(quoted(name)).") }
    guard tensor.shape == shape else {
      throw InputError("\(quoted(name)) has shape \(tensor.shape) where \(shape) is due.")
    }
    return tensor
  }
}
