// What a file holds between its own headers: tensors, or storages that several tensors share.

/// Bytes that are copied into a file.
package struct FilePiece: Sendable {
  /// The tensor that they belong to.
  let name: String
  let offset: Int
  let byteCount: Int
  let content: Content

  package enum Content: Sendable {
    /// The elements in row-major order.
    case tensor(Tensor)
    /// A storage as it is, for all tensors that share it.
    case storage(Storage)
  }

  package init(name: String, offset: Int, byteCount: Int, content: Content) {
    (self.name, self.offset, self.byteCount, self.content) = (name, offset, byteCount, content)
  }

  var storage: Storage {
    switch content {
    case .tensor(let tensor): tensor.storage
    case .storage(let storage): storage
    }
  }

  /// The bytes in `range`, counted from the beginning of the piece.
  func bytes(in range: Range<Int>) throws(CheckpointError) -> Bytes {
    do throws(CheckpointError) {
      switch content {
      case .tensor(let tensor):
        try tensor.checkExpansion()
        return try range.slice(ofElements: tensor.dtype.size) { elements throws(CheckpointError) in
          try tensor.bytes(ofElements: elements)
        }
      case .storage(let storage): return try storage.bytes(in: range)
      }
    } catch {
      throw error.forTensor(name)
    }
  }

  /// Holds the checksum of all bytes against the one that the source has for them, if it has one.
  func confirm(_ checksum: UInt32) throws(CheckpointError) {
    do throws(CheckpointError) {
      switch content {
      case .tensor(let tensor): if tensor.fillsStorage { try tensor.storage.confirm(checksum) }
      case .storage(let storage): try storage.confirm(checksum)
      }
    } catch {
      throw error.forTensor(name)
    }
  }
}

extension Tensor {
  /// Whether the tensor is its storage, byte for byte, so that their checksums are one.
  fileprivate var fillsStorage: Bool { isContiguous && storageOffset == 0 && byteCount == storage.byteCount }
}
