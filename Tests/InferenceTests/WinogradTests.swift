// Winograd's matrices compute a convolution, exactly; and the kernels apply those matrices.

import Inference
import NN
import TestSupport
import Testing
import Vectors

/// An exact fraction.
private struct Fraction: Equatable {
  let numerator: Int
  let denominator: Int

  init(_ numerator: Int, _ denominator: Int = 1) {
    var (a, b) = (abs(numerator), denominator)
    while b != 0 { (a, b) = (b, a % b) }
    (self.numerator, self.denominator) = (numerator / a, denominator / a)
  }

  init(_ ratio: WinogradMatrices.Ratio) { self.init(ratio.numerator, ratio.denominator) }

  static func + (a: Fraction, b: Fraction) -> Fraction {
    Fraction(a.numerator * b.denominator + b.numerator * a.denominator, a.denominator * b.denominator)
  }
  static func * (a: Fraction, b: Fraction) -> Fraction {
    Fraction(a.numerator * b.numerator, a.denominator * b.denominator)
  }
}

@Suite struct WinogradTests {
  /// An algorithm's matrices, its transforms, and the stride of its convolution.
  struct Case: Sendable {
    let name: String
    let matrices: WinogradMatrices
    let functions: @Sendable (VectorKernels) -> WinogradFunctions
    let stride: Int
    /// Rows of G that differ.
    let filterPoints: Int
  }

  static let cases = [
    Case(name: "F(2, 3)", matrices: .f2, functions: { $0.winograd2 }, stride: 1, filterPoints: 4),
    Case(name: "F(4, 3)", matrices: .f4, functions: { $0.winograd4 }, stride: 1, filterPoints: 6),
    Case(name: "F(3, 4)", matrices: .f3, functions: { $0.winograd3 }, stride: 1, filterPoints: 6),
    Case(
      name: "F(2, 3) of stride 2", matrices: .strided2, functions: { $0.winogradStrided2 }, stride: 2,
      filterPoints: 4),
  ]

  /// `y[i] = Σ_e Aᵀ[i, e] · G[e, k] · Bᵀ[e, j]` must be 1 where j = stride · i + k, else 0: for every filter g
  /// and input d that is the definition of the convolution.
  @Test(arguments: cases.indices) func matricesAreAConvolutionInExactArithmetic(_ index: Int) {
    let (matrices, stride) = (WinogradTests.cases[index].matrices, WinogradTests.cases[index].stride)
    for output in matrices.aTransposed.indices {
      for tap in matrices.g[0].indices {
        for input in matrices.bTransposed[0].indices {
          var sum = Fraction(0)
          for point in matrices.g.indices {
            sum =
              sum + Fraction(matrices.aTransposed[output][point]) * Fraction(matrices.g[point][tap])
              * Fraction(matrices.bTransposed[point][input])
          }
          #expect(
            sum == Fraction(input == stride * output + tap ? 1 : 0),
            "output \(output), tap \(tap), input \(input)")
        }
      }
    }
  }

  /// `left · x · leftᵀ` in double.
  private func transformed(_ left: [[WinogradMatrices.Ratio]], _ x: [[Double]]) -> [[Double]] {
    let left = left.map { $0.map { Double($0.numerator) / Double($0.denominator) } }
    func product(_ a: [[Double]], _ b: [[Double]]) -> [[Double]] {
      a.map { row in b[0].indices.map { column in zip(row, b).reduce(0) { $0 + $1.0 * $1.1[column] } } }
    }
    let transposed = left[0].indices.map { column in left.map { $0[column] } }
    return product(product(left, x), transposed)
  }

  /// Every kernel of every instruction set that this CPU has, on 21 channels: whole vectors and a rest.
  @Test(arguments: VectorKernels.available.indices, cases.indices) func kernelsApplyTheMatrices(
    _ instructions: Int, _ index: Int
  ) throws {
    let kernels = VectorKernels.available[instructions]
    let (algorithm, matrices) = (WinogradTests.cases[index], WinogradTests.cases[index].matrices)
    let functions = algorithm.functions(kernels)
    let (size, tile, channels) = (matrices.g.count, matrices.aTransposed.count, 21)
    let filterSize = algorithm.filterPoints
    var random = SplitMix64(state: 3)
    func values(_ count: Int) -> [Float] { (0..<count).map { _ in Float(random.normal()) } }
    func matrix(_ rows: Int, _ element: (Int) -> Float) -> [[Double]] {
      (0..<rows).map { row in (0..<rows).map { Double(element(row * rows + $0)) } }
    }
    let scratch = Floats.allocate(capacity: 36 * 16)
    defer { scratch.deallocate() }

    let pixels = values(size * size * channels)
    var result = [Float](repeating: .nan, count: size * size * channels)
    pixels.withUnsafeBufferPointer { pixels in
      let pointers = (0..<size * size).map { pixels.baseAddress! + $0 * channels }
      functions.input(pointers, channels, &result, channels)
    }
    for channel in 0..<channels {
      let expected = transformed(matrices.bTransposed, matrix(size) { pixels[$0 * channels + channel] })
      let actual = (0..<size * size).map { result[$0 * channels + channel] }
      let difference = difference(actual, expected.flatMap { $0 }.map { Float($0) }, tolerance: 1e-6)
      #expect(
        difference == nil,
        "\(kernels.name), \(algorithm.name), input, channel \(channel): \(difference ?? "")")
    }

    let side = matrices.g[0].count
    let taps = values(side * side * channels)
    functions.weights(taps, channels, &result, channels, scratch)
    let filterTransform = Array(matrices.g.prefix(filterSize))
    for channel in 0..<channels {
      let expected = transformed(filterTransform, matrix(side) { taps[$0 * channels + channel] })
      let actual = (0..<filterSize * filterSize).map { result[$0 * channels + channel] }
      let difference = difference(actual, expected.flatMap { $0 }.map { Float($0) }, tolerance: 1e-6)
      #expect(
        difference == nil,
        "\(kernels.name), \(algorithm.name), weights, channel \(channel): \(difference ?? "")")
    }

    let (products, bias) = (values(size * size * channels), values(channels))
    let residual = values(tile * tile * channels)
    var output = residual
    output.withUnsafeMutableBufferPointer { output in
      let pointers = (0..<tile * tile).map { output.baseAddress! + $0 * channels }
      functions.output(
        products, channels, channels, bias, pointers.map { ConstantFloats($0) }, .relu, pointers)
    }
    for channel in 0..<channels {
      let product = transformed(matrices.aTransposed, matrix(size) { products[$0 * channels + channel] })
      let expected = product.flatMap { $0 }.enumerated().map { place, value in
        max(0, Float(value + Double(bias[channel]) + Double(residual[place * channels + channel])))
      }
      let actual = (0..<tile * tile).map { output[$0 * channels + channel] }
      let difference = difference(actual, expected, tolerance: 3e-6)
      #expect(
        difference == nil,
        "\(kernels.name), \(algorithm.name), output, channel \(channel): \(difference ?? "")")
    }
  }
}
