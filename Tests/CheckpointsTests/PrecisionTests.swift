// Conversion to types of fewer bits: rounding, what is lost, and what stays as it is.

import Checkpoints
import TestSupport
import Testing

@Suite struct PrecisionTests {
  private func bits(_ values: [Float], as dtype: DType) throws -> [UInt16] {
    var stateDict = StateDict()
    try stateDict.append("x", Tensor(shape: [values.count], values))
    let bytes = try #require(stateDict.converted(to: dtype).stateDict["x"]).contiguousBytes().array
    return stride(from: 0, to: bytes.count, by: 2).map { UInt16(bytes[$0]) | UInt16(bytes[$0 + 1]) << 8 }
  }

  /// By the definitions of IEEE 754: half a unit in the last place goes to the even neighbour.
  @Test(
    arguments: [
      (1, 0x3C00), (1 + 0x1p-11, 0x3C00), (1 + 3 * 0x1p-11, 0x3C02), (-1.5, 0xBE00), (65504, 0x7BFF),
      (65519.99, 0x7BFF), (65520, 0x7C00), (-1e30, 0xFC00), (0x1p-14, 0x0400), (0x1p-24, 0x0001),
      (0x1p-25, 0x0000), (0x1.8p-25, 0x0001), (-0x1p-26, 0x8000), (.infinity, 0x7C00),
    ] as [(Float, UInt16)])
  func halfRoundsToEven(_ value: Float, _ expected: UInt16) throws {
    #expect(try bits([value], as: .float16) == [expected])
  }

  @Test(
    arguments: [
      (1, 0x3F80), (1 + 0x1p-8, 0x3F80), (1 + 3 * 0x1p-8, 0x3F82), (-2, 0xC000), (0x1.FEp127, 0x7F7F),
      (0x1.FFp127, 0x7F80), (0x1p-133, 0x0001), (0x1p-134, 0x0000), (0x1.8p-134, 0x0001),
      (-.infinity, 0xFF80),
    ] as [(Float, UInt16)])
  func brainFloatRoundsToEven(_ value: Float, _ expected: UInt16) throws {
    #expect(try bits([value], as: .bfloat16) == [expected])
  }

  @Test func notANumberStaysNotANumber() throws {
    #expect(try bits([.nan], as: .float16)[0] & 0x7FFF > 0x7C00)
    #expect(try bits([.nan], as: .bfloat16)[0] & 0x7FFF > 0x7F80)
  }

  @Test func lossesAreCounted() throws {
    var stateDict = StateDict()
    try stateDict.append("a", Tensor(shape: [2, 3], [1e6, -1e6, .infinity, 1e-9, 0, -1e-8]))
    try stateDict.append("b", Tensor(shape: [1], [1]))
    let losses = try stateDict.converted(to: .float16).losses
    #expect(losses.map(\.name) == ["a", "b"])
    #expect(losses.map(\.overflows) == [2, 0] && losses.map(\.underflows) == [2, 0])
    #expect(losses.map(\.elements) == [6, 1])
    #expect(try stateDict.converted(to: .bfloat16).losses.allSatisfy { $0.overflows + $0.underflows == 0 })
  }

  @Test func onlyWhatIsChosenIsConverted() throws {
    let fixture = try Checkpoint(path: Fixtures.path("reading/dtypes.pth")).stateDict()
    let converted = try fixture.converted(to: .float16).stateDict
    #expect(converted.names == fixture.names)
    for (name, tensor) in fixture {
      #expect(converted[name]?.dtype == (tensor.dtype.isFloatingPoint ? .float16 : tensor.dtype), "\(name)")
    }
    let none = try fixture.converted(to: .float16) { _, _ in false }
    #expect(none.losses.isEmpty)
  }

  /// A transposed view, converted and written a piece at a time.
  @Test func viewsAreConvertedInOrder() throws {
    let (rows, columns) = (700, 1501)
    let values = (0..<rows * columns).map { Float($0 % 2048) }
    let matrix = try Tensor(shape: [rows, columns], values)
    var stateDict = StateDict()
    try stateDict.append(
      "t", Tensor(dtype: .float32, shape: [columns, rows], strides: [1, columns], storage: matrix.storage))
    let folder = try TemporaryFolder()
    let path = folder.path("out.safetensors")
    try stateDict.converted(to: .float16).stateDict.write(to: path)
    let read = try #require(Checkpoint(path: path).stateDict()["t"]).floats()
    #expect(read == (0..<columns).flatMap { column in (0..<rows).map { values[$0 * columns + column] } })
  }
}
