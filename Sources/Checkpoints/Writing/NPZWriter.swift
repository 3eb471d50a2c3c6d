// Writes a .npz file: a zip archive with a .npy file for each tensor, as numpy.savez does.

import CZlib

extension StateDict {
  /// Writes all tensors to a .npz file, reads it again and holds it against what was meant.
  ///
  /// - Parameter progress: called now and then, from any thread, with the bytes done and to do.
  /// - Throws: `.cannotWrite`, `.notRepresentable` for a dtype that NumPy has not, `.limitExceeded` for
  ///   more than the source justifies, or what is wrong with a tensor.
  public func writeNPZ(
    to path: String, options: WriteOptions = WriteOptions(),
    progress: @escaping @Sendable (_ done: Int, _ total: Int) -> Void = { _, _ in }
  ) throws(CheckpointError) {
    try write(try NPZLayout(self), to: path, options: options, progress: progress)
  }
}

/// Where each array of a .npz file goes.
private struct NPZLayout: FileLayout {
  private var archive = ZipLayout()
  private var headers: [Bytes] = []
  private(set) var pieces: [FilePiece] = []

  init(_ stateDict: StateDict) throws(CheckpointError) {
    for (name, tensor) in stateDict {
      guard tensor.layout == .strided else { throw tensor.layout.error.forTensor(name) }
      let header: Bytes
      do throws(CheckpointError) {
        header = try NPY.header(tensor)
      } catch {
        throw error.forTensor(name)
      }
      let record = try archive.append(name + ".npy", byteCount: header.count + tensor.byteCount, for: name)
      headers.append(header)
      pieces.append(
        FilePiece(
          name: name, offset: record.offset + header.count, byteCount: tensor.byteCount,
          content: .tensor(tensor)))
    }
  }

  func framing(_ checksums: [UInt32]) -> [(offset: Int, bytes: Bytes)] {
    // Of header and elements together.
    let sums = headers.indices.map { index in
      UInt32(
        truncatingIfNeeded: crc32_combine(
          uLong(crc32(headers[index])), uLong(checksums[index]), pieces[index].byteCount))
    }
    return archive.framing(sums) + zip(archive.records, headers).map { ($0.offset, $1) }
  }
}
