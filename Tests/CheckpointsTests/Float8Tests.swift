// The floating-point types of 8 bits have PyTorch's values.

import Checkpoints
import Testing

@Suite struct Float8Tests {
  /// SHA-256 of the 256 values of `torch.arange(256).to(torch.uint8).view(dtype).to(torch.float32)`, NaN as 0x7FC00000.
  @Test(arguments: [
    (DType.float8_e4m3fn, "422eccfaa21e72a6b26855bb10cdcfead6c1ce3262ecd813c99d8cbf9677f2e2"),
    (.float8_e5m2, "229a94c5f728edf2259da970a0e1dfb45cc1d69cce2b30e37659f3212ec4b8b9"),
    (.float8_e4m3fnuz, "ac4866f772a7c08077713fde1fa54131d49c26339c885e971a24fc0fac6e33f4"),
    (.float8_e5m2fnuz, "aac12d2730bf26ca53bfa107a7a6a8df192aba8cf58b971eec9126f83991e6d4"),
    (.float8_e8m0fnu, "2fb2732a956043772ccd2c1664ae5d2558c62f9c06780c04d95f1ff0050f2f2f"),
  ])
  func allValuesAreTorchs(_ dtype: DType, _ digest: String) throws {
    let values = try tensor(dtype, Array(0...255)).floats()
    let bytes = values.flatMap { value -> [UInt8] in
      let bits = value.isNaN ? 0x7FC0_0000 : value.bitPattern
      return (0..<4).map { UInt8(truncatingIfNeeded: bits >> (8 * $0)) }
    }
    #expect(SHA256.digest(of: Bytes(bytes)) == digest, "\(values)")
  }

  @Test func limitsAreThoseOfTheirDefinitions() throws {
    #expect(try tensor(.float8_e4m3fn, [0x01, 0x7E, 0xFE]).floats() == [0x1p-9, 448, -448])
    #expect(
      try tensor(.float8_e5m2, [0x01, 0x7B, 0x7C, 0xFC]).floats() == [0x1p-16, 57344, .infinity, -.infinity])
    #expect(try tensor(.float8_e4m3fnuz, [0x01, 0x7F]).floats() == [0x1p-10, 240])
    #expect(try tensor(.float8_e5m2fnuz, [0x01, 0x7F]).floats() == [0x1p-17, 57344])
    #expect(try tensor(.float8_e8m0fnu, [0, 127, 254]).floats() == [0x1p-127, 1, 0x1p127])
  }

  private func tensor(_ dtype: DType, _ bytes: [UInt8]) throws -> Tensor {
    try Tensor(dtype: dtype, shape: [bytes.count], storage: Storage(Bytes(bytes)))
  }
}
