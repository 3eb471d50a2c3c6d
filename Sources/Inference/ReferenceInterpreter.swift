// Runs a graph node by node in double precision, each operation as its definition says. It is the
// oracle that every faster path is compared with, and is written to be read, not to be fast.

package import Checkpoints
package import NN

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// The definition of what a graph computes.
package struct ReferenceInterpreter {
  private let graph: Graph
  private let stateDict: StateDict

  package init(_ graph: Graph, _ stateDict: StateDict) {
    self.graph = graph
    self.stateDict = stateDict
  }

  /// An array of `[N, C, H, W]` or `[N, C]`.
  package struct Array {
    package let shape: [Int]
    package var values: [Double]

    init(_ shape: [Int], _ value: Double = 0) {
      self.shape = shape
      values = [Double](repeating: value, count: shape.reduce(1, *))
    }

    subscript(n: Int, c: Int, y: Int, x: Int) -> Double {
      get { values[((n * shape[1] + c) * shape[2] + y) * shape[3] + x] }
      set { values[((n * shape[1] + c) * shape[2] + y) * shape[3] + x] = newValue }
    }

    /// Sets each element of `[N, C, H, W]`.
    mutating func fill(_ element: (_ n: Int, _ c: Int, _ y: Int, _ x: Int) throws -> Double) rethrows {
      for n in 0..<shape[0] {
        for c in 0..<shape[1] {
          for y in 0..<shape[2] {
            for x in 0..<shape[3] { self[n, c, y, x] = try element(n, c, y, x) }
          }
        }
      }
    }
  }

  /// The result of every node for `input`.
  package func run(_ input: Tensor) throws -> [Array] {
    let shapes = try graph.shapes(input: input.shape)
    var results: [Array] = []
    for (node, shape) in zip(graph.nodes, shapes) {
      var result = Array(shape)
      let arguments = node.inputs.map { results[$0] }
      switch node.operation {
      case .input: result.values = try input.floats().map(Double.init)
      case .relu: result.values = arguments[0].values.map { $0 < 0 ? 0 : $0 }
      case .relu6: result.values = arguments[0].values.map { $0 < 0 ? 0 : $0 > 6 ? 6 : $0 }
      case .add: result.values = zip(arguments[0].values, arguments[1].values).map { $0 + $1 }
      case .flatten: result.values = arguments[0].values
      case .conv2d(let convolution): try convolve(arguments[0], convolution, &result)
      case .batchNorm2d(let norm): try normalize(arguments[0], norm, &result)
      case .linear(let layer): try multiply(arguments[0], layer, &result)
      case .groupNorm(let norm): try normalize(arguments[0], norm, &result)
      case .sigmoid: result.values = arguments[0].values.map { 1 / (1 + exp(-$0)) }
      case .multiply:
        let (x, gate) = (arguments[0], arguments[1])
        result.fill { n, c, y, column in x[n, c, y, column] * gate[n, c, 0, 0] }
      case .maxPool2d(let window): arguments[0].maxPool(window, &result)
      case .avgPool2d(let window, let countIncludePad):
        arguments[0].averagePool(window, countIncludePad: countIncludePad, &result)
      case .avgPool2dSame(let kernel, let stride):
        arguments[0].averagePoolSame(kernel: kernel, stride: stride, &result)
      case .adaptiveAvgPool2d: arguments[0].adaptiveAveragePool(&result)
      case .blurPool2d(let window): arguments[0].blurPool(window, &result)
      case .channelConvolution(let convolution): try convolve(arguments[0], convolution, &result)
      case .subsample(let subsampling):
        let (x, before) = (arguments[0], subsampling.channelsBefore)
        result.fill { n, c, y, column in
          before..<before + x.shape[1] ~= c
            ? x[n, c - before, y * subsampling.stride, column * subsampling.stride] : 0
        }
      }
      results.append(result)
    }
    return results
  }

  /// The named parameter in double precision.
  private func parameter(_ name: String) throws -> [Double] {
    guard let tensor = stateDict[name] else { throw InputError("the model has no parameter \"\(name)\".") }
    return try tensor.floats().map(Double.init)
  }

  private func convolve(_ x: Array, _ convolution: Convolution, _ result: inout Array) throws {
    let weight = try parameter(convolution.weight)
    let bias = try convolution.bias.map(parameter)
    let window = convolution.window
    let inputs = convolution.inChannels / convolution.groups
    let outputs = convolution.outChannels / convolution.groups
    for n in 0..<result.shape[0] {
      for out in 0..<result.shape[1] {
        for y in 0..<result.shape[2] {
          for column in 0..<result.shape[3] {
            var sum = bias?[out] ?? 0
            for input in 0..<inputs {
              for ky in 0..<window.kernel {
                let row = y * window.stride + ky * window.dilation - window.padding
                guard 0..<x.shape[2] ~= row else { continue }
                for kx in 0..<window.kernel {
                  let place = column * window.stride + kx * window.dilation - window.padding
                  guard 0..<x.shape[3] ~= place else { continue }
                  sum +=
                    weight[((out * inputs + input) * window.kernel + ky) * window.kernel + kx]
                    * x[n, out / outputs * inputs + input, row, place]
                }
              }
            }
            result[n, out, y, column] = sum
          }
        }
      }
    }
  }

  private func normalize(_ x: Array, _ norm: BatchNormalization, _ result: inout Array) throws {
    let (weight, bias) = (try parameter(norm.weight), try parameter(norm.bias))
    let (mean, variance) = (try parameter(norm.mean), try parameter(norm.variance))
    let area = x.shape[2] * x.shape[3]
    for index in x.values.indices {
      let channel = index / area % norm.channels
      let centred = x.values[index] - mean[channel]
      result.values[index] =
        centred / (variance[channel] + norm.eps).squareRoot() * weight[channel] + bias[channel]
    }
  }

  private func normalize(_ x: Array, _ norm: GroupNormalization, _ result: inout Array) throws {
    let (weight, bias) = (try parameter(norm.weight), try parameter(norm.bias))
    let area = x.shape[2] * x.shape[3]
    // The channels of a group lie next to each other, so a group's elements do.
    let count = norm.channels / norm.groups * area
    for start in stride(from: 0, to: x.values.count, by: count) {
      let group = x.values[start..<start + count]
      let mean = group.reduce(0, +) / Double(count)
      let variance = group.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(count)
      for index in group.indices {
        let channel = index / area % norm.channels
        result.values[index] =
          (x.values[index] - mean) / (variance + norm.eps).squareRoot() * weight[channel] + bias[channel]
      }
    }
  }

  private func convolve(_ x: Array, _ convolution: ChannelConvolution, _ result: inout Array) throws {
    let weight = try parameter(convolution.weight)
    result.fill { n, c, _, _ in
      weight.indices.reduce(0) { sum, tap in
        let channel = c + tap - weight.count / 2
        return 0..<x.shape[1] ~= channel ? sum + weight[tap] * x[n, channel, 0, 0] : sum
      }
    }
  }

  private func multiply(_ x: Array, _ layer: FullyConnected, _ result: inout Array) throws {
    let weight = try parameter(layer.weight)
    let bias = try layer.bias.map(parameter)
    for n in 0..<result.shape[0] {
      for out in 0..<layer.outFeatures {
        var sum = bias?[out] ?? 0
        for input in 0..<layer.inFeatures {
          sum += weight[out * layer.inFeatures + input] * x.values[n * layer.inFeatures + input]
        }
        result.values[n * layer.outFeatures + out] = sum
      }
    }
  }
}
