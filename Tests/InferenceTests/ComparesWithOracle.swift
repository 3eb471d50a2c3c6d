// What tests of plans share: networks that are closures, random weights, and the comparison with the
// reference interpreter.

import Checkpoints
import Inference
import NN
import TestSupport
import Testing

/// A network that is given as a closure.
struct Network: Module {
  let path = ""
  let body: @Sendable (Value) -> Value
  func forward(_ x: Value) -> Value { body(x) }
}

/// A suite whose tests compare plans with the reference interpreter.
protocol ComparesWithOracle {}

extension ComparesWithOracle {
  func random(_ shape: [Int], _ random: inout SplitMix64) throws -> Tensor {
    try Tensor(shape: shape, (0..<shape.reduce(1, *)).map { _ in Float(random.normal()) })
  }

  /// Gives BatchNorm statistics that change something.
  func randomize(_ model: inout Model<Network>, _ random: inout SplitMix64) throws {
    var weights = StateDict()
    for parameter in model.parameters where parameter.dtype == .float32 {
      let count = parameter.shape.reduce(1, *)
      let isVariance = parameter.name.hasSuffix("running_var")
      let values = (0..<count).map { _ in Float(isVariance ? 0.5 + random.uniform() : random.normal() * 0.3) }
      try weights.append(parameter.name, Tensor(shape: parameter.shape, values))
    }
    try model.load(weights)
  }

  /// Compares every thread count, every algorithm and both engines with the oracle.
  ///
  /// Winograd's transforms cancel large numbers: its bounds are wider, that of F(4×4) most.
  ///
  /// - Parameter magnitude: what errors are compared with where all results are smaller, as those of a few
  ///   pixels may be: terms of this size cancelled.
  func check(
    _ model: Model<Network>, _ input: Tensor, _ what: String,
    _ cases: [(ConvolutionAlgorithm?, Float)] = [
      (nil, 2e-5), (.direct, 2e-5), (.strassen, 2e-5), (.im2col, 2e-6), (.implicit, 2e-5),
      (.winograd2, 4e-6), (.winograd4, 2e-5), (.winogradStrided2, 2e-5), (.winograd3, 2e-5),
    ], magnitude: Double = 0
  ) throws {
    let expected = try ReferenceInterpreter(model.graph, model.stateDict).run(input)[model.graph.output]
    let largest = expected.values.reduce(Double(Float.leastNormalMagnitude)) { max($0, abs($1)) }
    let widening = Float(max(1, magnitude / largest))
    for (threads, engine) in [(1, MatrixEngine.native), (2, .native), (3, .native), (1, .blas), (2, .blas)] {
      for (algorithm, tolerance) in cases {
        var model = model
        model.threadCount = threads
        model.engine = engine
        model.algorithm = algorithm
        let actual = try model(input)
        #expect(actual.shape == expected.shape, "\(what)")
        let difference = try difference(
          actual.floats(), expected.values.map { Float($0) }, tolerance: tolerance * widening)
        let name = algorithm?.rawValue ?? "chosen algorithm"
        #expect(difference == nil, "\(what), \(threads) threads, \(engine), \(name): \(difference ?? "")")
      }
    }
  }
}
