// Runs a graph node by node in double precision, each operation as its definition says. It is the
// oracle that every faster path is compared with, and is written to be read, not to be fast.

package import Checkpoints
package import NN

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
      case .add: result.values = zip(arguments[0].values, arguments[1].values).map { $0 + $1 }
      case .flatten: result.values = arguments[0].values
      case .conv2d(let convolution): try convolve(arguments[0], convolution, &result)
      case .batchNorm2d(let norm): try normalize(arguments[0], norm, &result)
      case .linear(let layer): try multiply(arguments[0], layer, &result)
      case .maxPool2d(let window): pool(arguments[0], window, &result) { $0.max() ?? -.infinity }
      case .avgPool2d(let window):
        pool(arguments[0], window, &result) { $0.reduce(0, +) / Double(window.kernel * window.kernel) }
      case .adaptiveAvgPool2d: adaptivePool(arguments[0], &result)
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

  private func pool(_ x: Array, _ window: Window, _ result: inout Array, _ combine: ([Double]) -> Double) {
    for n in 0..<result.shape[0] {
      for c in 0..<result.shape[1] {
        for y in 0..<result.shape[2] {
          for column in 0..<result.shape[3] {
            var inside: [Double] = []
            for ky in 0..<window.kernel {
              for kx in 0..<window.kernel {
                let row = y * window.stride + ky * window.dilation - window.padding
                let place = column * window.stride + kx * window.dilation - window.padding
                if 0..<x.shape[2] ~= row, 0..<x.shape[3] ~= place { inside.append(x[n, c, row, place]) }
              }
            }
            result[n, c, y, column] = combine(inside)
          }
        }
      }
    }
  }

  private func adaptivePool(_ x: Array, _ result: inout Array) {
    let (height, width) = (result.shape[2], result.shape[3])
    for n in 0..<result.shape[0] {
      for c in 0..<result.shape[1] {
        for y in 0..<height {
          for column in 0..<width {
            let rows = adaptiveWindow(y, of: height, over: x.shape[2])
            let places = adaptiveWindow(column, of: width, over: x.shape[3])
            var sum = 0.0
            for row in rows { for place in places { sum += x[n, c, row, place] } }
            result[n, c, y, column] = sum / Double(rows.count * places.count)
          }
        }
      }
    }
  }
}

/// The part of `size` elements that output `index` of `count` is the mean of, as PyTorch divides it.
func adaptiveWindow(_ index: Int, of count: Int, over size: Int) -> Range<Int> {
  index * size / count..<((index + 1) * size + count - 1) / count
}
