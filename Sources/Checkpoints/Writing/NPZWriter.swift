// How a .npz file is written: a zip archive with a .npy file for each tensor, as numpy.savez does.

/// Where each array of a .npz file goes.
struct NPZLayout: FileLayout {
  private var archive = ZipLayout()
  private var headers: [Bytes] = []
  private(set) var pieces: [FilePiece] = []

  init(_ stateDict: StateDict) throws(CheckpointError) {
    guard !stateDict.isEmpty else {
      throw CheckpointError(.notRepresentable, "holds no tensors, and an .npz file needs one.")
    }
    for (name, tensor) in stateDict {
      guard !name.utf8.contains(0) else {
        throw CheckpointError(
          .notRepresentable,
          "has a name with a NUL, which NumPy does not find; rsw, safetensors, torch hold it.",
          key: name)
      }
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
      crc32(crc32(headers[index]), followedBy: checksums[index], of: pieces[index].byteCount)
    }
    return archive.framing(sums) + zip(archive.records, headers).map { ($0.offset, $1) }
  }
}
