// .npy files as NumPy writes them.

import Checkpoints
import Foundation
import TestSupport
import Testing

@Suite struct NPYTests {
  private func file(_ header: String, _ data: [UInt8], version: UInt8 = 1) -> [UInt8] {
    let size = header.utf8.count
    let count = version == 1 ? 2 : 4
    return [0x93] + Array("NUMPY".utf8) + [version, 0]
      + (0..<count).map { UInt8(truncatingIfNeeded: size >> (8 * $0)) }
      + Array(header.utf8) + data
  }

  @Test func rowAndColumnOrderAreRead() throws {
    let folder = try TemporaryFolder()
    for version: UInt8 in [1, 2, 3] {
      for (order, expected) in [("False", [0, 1, 2, 3, 4, 5]), ("True", [0, 2, 4, 1, 3, 5])] {
        let header = "{'descr': '|u1', 'fortran_order': \(order), 'shape': (2, 3), }\n"
        let path = try folder.write(file(header, [0, 1, 2, 3, 4, 5], version: version), as: "a.npy")
        let tensor = try Tensor(npy: path)
        #expect(tensor.shape == [2, 3])
        #expect(try tensor.floats() == expected.map { Float($0) })
      }
    }
  }

  @Test func writtenArraysComeBack() throws {
    let folder = try TemporaryFolder()
    for shape in [[], [3], [2, 3], [1, 0, 2]] {
      let tensor = try Tensor(shape: shape, (0..<shape.reduce(1, *)).map { Float($0) })
      try tensor.writeNPY(to: folder.path("a.npy"))
      let read = try Tensor(npy: folder.path("a.npy"))
      #expect(read.shape == shape && read.dtype == .float32)
      #expect(try read.floats() == tensor.floats())
    }
  }

  @Test(arguments: [
    "{'descr': '<f4', 'fortran_order': False, 'shape': (9,), }", "{'descr': '<f4', 'fortran_order': False}",
    "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }",
    "{'descr': '<f4', 'fortran_order': 1, 'shape': (1,), }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (1), }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'order': 'C', }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4), }", "",
  ])
  func brokenHeadersAreErrors(_ header: String) throws {
    let folder = try TemporaryFolder()
    let path = try folder.write(file(header, [0, 0, 0, 0]), as: "a.npy")
    #expect(throws: CheckpointError.self) { try Tensor(npy: path) }
  }

  @Test func truncatedFilesAreErrors() {
    #expect(throws: CheckpointError.self) { try Tensor(npy: Fixtures.path("bad/truncated.npy")) }
  }
}
