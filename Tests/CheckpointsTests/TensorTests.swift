// Views stay inside their storage, and copies are bounded.

import Checkpoints
import Testing

@Suite struct TensorTests {
  private let storage = Storage(Bytes([UInt8](repeating: 0, count: 24)))

  @Test(arguments: [
    ([7], [1], 0), ([2, 3], [3, 2], 0), ([1], [1], 6), ([2], [Int.max], 0), ([2, 2], [Int.max, Int.max], 1),
    ([Int.max], [0], 0), ([Int.max, 4], [0, 0], 0), ([1], [1], Int.max), ([-1], [1], 0), ([1], [-1], 0),
    ([1], [1], -1),
    ([2], [1, 1], 0), ([Int](repeating: 1, count: 65), [Int](repeating: 1, count: 65), 0),
  ])
  func viewsOutsideTheStorageAreErrors(_ shape: [Int], _ strides: [Int], _ offset: Int) {
    #expect(throws: CheckpointError.self) {
      try Tensor(dtype: .float32, shape: shape, strides: strides, storageOffset: offset, storage: storage)
    }
  }

  @Test(arguments: [
    ([6], [1], 0), ([0], [1], 0), ([0, Int.max, Int.max], [1, 1, 1], 0), ([1, 6], [Int.max, 1], 0),
    ([], [], 5),
    ([1_000_000_000, 4], [0, 1], 0),
  ])
  func viewsInsideTheStorageAreTensors(_ shape: [Int], _ strides: [Int], _ offset: Int) throws {
    let tensor = try Tensor(
      dtype: .float32, shape: shape, strides: strides, storageOffset: offset, storage: storage)
    if tensor.elementCount < 100 { #expect(try tensor.contiguousBytes().count == tensor.byteCount) }
  }

  @Test func hugeExpansionsAreViewsButNoCopies() throws {
    let tensor = try Tensor(dtype: .float32, shape: [1 << 42], strides: [0], storage: storage)
    #expect(tensor.byteCount == 1 << 44)
    let error = #expect(throws: CheckpointError.self) { try tensor.contiguousBytes() }
    #expect(error?.code == .limitExceeded)
  }

  @Test func typesWithoutConversionSaySo() throws {
    let tensor = try Tensor(dtype: .complex64, shape: [3], storage: storage)
    let error = #expect(throws: CheckpointError.self) { try tensor.floats() }
    #expect(error?.code == .notRepresentable)
  }
}
