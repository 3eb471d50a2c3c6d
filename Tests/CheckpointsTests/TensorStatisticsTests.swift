// Statistics against values computed by hand.

import Checkpoints
import TestSupport
import Testing

@Suite struct TensorStatisticsTests {
  @Test func numbersAreThoseOfTheDefinitions() throws {
    let statistics = try TensorStatistics(
      Tensor(shape: [2, 4], [1, 2, 3, 4, 0, -0.0, .nan, -.infinity]), parts: 4)
    #expect(
      statistics.count == 8 && statistics.nans == 1 && statistics.infinities == 1 && statistics.zeros == 2)
    #expect(statistics.minimum == 0 && statistics.maximum == 4 && statistics.distinct == nil)
    let mean = 10.0 / 6
    #expect(statistics.mean == mean)
    let squares = [1.0, 2, 3, 4, 0, 0].reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
    #expect(abs(try #require(statistics.standardDeviation) - (squares / 6).squareRoot()) < 1e-12)
    let histogram = try #require(statistics.histogram)
    #expect(histogram.edges == [0, 1, 2, 3, 4] && histogram.counts == [2, 1, 1, 2])
  }

  @Test func differentIntegersAreCounted() throws {
    let bytes = [1, 2, 2, 255].map { UInt8($0) }
    let statistics = try TensorStatistics(Tensor(dtype: .uint8, shape: [4], storage: Storage(Bytes(bytes))))
    #expect(statistics.distinct == 3 && statistics.maximum == 255 && statistics.mean == 65)
    let flags = try TensorStatistics(Tensor(dtype: .bool, shape: [4], storage: Storage(Bytes([1, 0, 0, 1]))))
    #expect(flags.distinct == 2 && flags.zeros == 2 && flags.mean == 0.5)
  }

  @Test func integersAreNotRoundedToFloat() throws {
    let value = 1 << 53 - 1
    let bytes = (0..<8).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
    for dtype in [DType.int64, .uint64] {
      let statistics = try TensorStatistics(Tensor(dtype: dtype, shape: [1], storage: Storage(Bytes(bytes))))
      #expect(statistics.minimum == Double(value))
    }
  }

  @Test func complexNumbersGiveTheirMagnitudes() throws {
    let parts = try Tensor(shape: [4], [3, 4, 0, -2]).contiguousBytes()
    let statistics = try TensorStatistics(Tensor(dtype: .complex64, shape: [2], storage: Storage(parts)))
    #expect(statistics.count == 2 && statistics.minimum == 2 && statistics.maximum == 5)
  }

  @Test func quantizedAndSparseTensorsGiveTheirValues() throws {
    for name in ["quantized-per-channel", "sparse-coo"] {
      let stateDict = try Checkpoint(path: Fixtures.path("reading/\(name).pth")).stateDict()
      for (name, tensor) in stateDict {
        let values = try tensor.dense().floats()
        let statistics = try TensorStatistics(tensor)
        #expect(
          statistics.count == values.count && statistics.maximum == values.max().map { Double($0) }, "\(name)"
        )
      }
    }
  }

  @Test func viewsAndEmptyTensorsAreUnderstood() throws {
    let storage = try Tensor(shape: [6], [0, 1, 2, 3, 4, 5]).storage
    let transposed = try Tensor(dtype: .float32, shape: [2, 2], strides: [1, 3], storage: storage)
    #expect(try TensorStatistics(transposed).mean == 2)
    let empty = try TensorStatistics(Tensor(shape: [0, 3], []))
    #expect(empty.count == 0 && empty.mean == nil && empty.histogram == nil)
    let same = try TensorStatistics(Tensor(shape: [3], [7, 7, 7]))
    #expect(same.histogram?.counts == [3] && same.standardDeviation == 0)
    let extreme = try TensorStatistics(
      Tensor(shape: [2], [-.greatestFiniteMagnitude, .greatestFiniteMagnitude]))
    #expect(extreme.histogram?.counts.reduce(0, +) == 2)
  }

  /// Squares, sums and widths of these are no Doubles, nor are squares of the small ones.
  @Test(arguments: [1.7e308, 0x1p-1000]) func extremesOfDoublesHaveStatistics(_ unit: Double) throws {
    let values = [-unit, unit, unit, unit]
    let bytes = values.flatMap { value in
      (0..<8).map { UInt8(truncatingIfNeeded: value.bitPattern >> (8 * $0)) }
    }
    let real = try TensorStatistics(
      Tensor(dtype: .float64, shape: [4], storage: Storage(Bytes(bytes))), parts: 4)
    #expect(real.mean == unit / 2)
    #expect(abs(try #require(real.standardDeviation) / unit - 0.75.squareRoot()) < 1e-12)
    let histogram = try #require(real.histogram)
    #expect(histogram.counts == [1, 0, 0, 3])
    for (edge, expected) in zip(histogram.edges, [-1, -0.5, 0, 0.5, 1]) {
      #expect(abs(edge / unit - expected) < 1e-15 * 4)
    }
    let complex = try TensorStatistics(Tensor(dtype: .complex128, shape: [2], storage: Storage(Bytes(bytes))))
    // The magnitude of two of the largest is no Double, as numpy.abs has it too.
    let magnitude = unit * 2.0.squareRoot()
    #expect(complex.infinities == (magnitude.isFinite ? 0 : 2) && complex.zeros == 0)
    if magnitude.isFinite { #expect(abs(try #require(complex.mean) / magnitude - 1) < 1e-6) }
  }
}
