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

  func framing(ofPiece piece: Int, checksum: UInt32) -> [FileFraming] {
    archive.framing(ofRecord: piece, checksum: recordChecksum(piece, checksum))
      + [(archive.records[piece].offset, headers[piece])]
  }

  func framing(_ checksums: [UInt32]) -> [FileFraming] {
    [archive.ending(checksums.enumerated().map { recordChecksum($0, $1) })]
  }

  /// Of header and elements together.
  private func recordChecksum(_ piece: Int, _ checksum: UInt32) -> UInt32 {
    crc32(crc32(headers[piece]), followedBy: checksum, of: pieces[piece].byteCount)
  }
}
