// Writing a file of tensors, whatever its format: the tensors' bytes are copied to where the format wants them
// while their checksums are computed, then comes what stands around them, and at last all of it is
// read again. Nothing is held in memory but what is being copied.

import Synchronization

/// A format that weights are written in.
public enum OutputFormat: String, Sendable, CaseIterable {
  /// A safetensors file with what docs/rsw-format.md adds.
  case rsw
  case safetensors
  /// What torch.save writes, and `torch.load` opens, with `weights_only` and `mmap` too.
  case torch
  /// What numpy.savez writes.
  case npz

  /// The format that a file's name asks for by what stands behind its last dot; rsw for all that asks for none.
  public init(path: String) {
    switch path.split(separator: "/").last?.split(separator: ".").dropFirst().last?.lowercased() {
    case "safetensors": self = .safetensors
    case "pth", "pt", "bin": self = .torch
    case "npz": self = .npz
    default: self = .rsw
    }
  }
}

/// How a file is written, and what it says of itself beside its tensors.
public struct WriteOptions: Sendable {
  /// The file that is converted: all its checksums are verified on the way. An rsw file notes its name and size.
  public var source: Checkpoint?
  /// The metadata of a safetensors file, by name.
  public var metadata: [(name: String, value: String)] = []
  /// The model's architecture as a JSON object, for an rsw file.
  public var architecture: String?
  /// Whether an existing file may be replaced.
  public var replacing = false

  /// Nothing said, nothing replaced.
  public init() {}
}

extension StateDict {
  /// Writes all tensors to a file, reads it again and holds it against what was meant.
  ///
  /// The checksums that the source's records carry are verified on the way, with those of the
  /// tensors computed only once. The file appears under its name when all of that is done; a
  /// failure leaves nothing behind.
  ///
  /// - Parameters:
  ///   - format: that which the file's name asks for, unless given.
  ///   - progress: called now and then, from any thread, with the bytes done and to do.
  /// - Throws: `.cannotWrite`, `.notRepresentable` for a dtype that the format has not, `.limitExceeded` for
  ///   more than the source justifies, or what is wrong with a tensor.
  public func write(
    to path: String, as format: OutputFormat? = nil, options: WriteOptions = WriteOptions(),
    progress: @escaping @Sendable (_ done: Int, _ total: Int) -> Void = { _, _ in }
  ) throws(CheckpointError) {
    switch format ?? OutputFormat(path: path) {
    case .rsw:
      let names = names
      let layout = try SafetensorsLayout(self) { RSWMetadata.of(names, checksums: $0, options) }
      try write(layout, to: path, options, progress)
    case .safetensors:
      try write(SafetensorsLayout(self) { _ in options.metadata }, to: path, options, progress)
    case .torch: try write(TorchLayout(self, path: path), to: path, options, progress)
    case .npz: try write(NPZLayout(self), to: path, options, progress)
    }
  }
}

/// Where a format puts what it is given.
package protocol FileLayout: Sendable {
  /// What is copied, in the order in which it lies in the file.
  var pieces: [FilePiece] { get }

  /// Everything else, with where it goes; as long for any checksums of the pieces.
  func framing(_ checksums: [UInt32]) -> [(offset: Int, bytes: Bytes)]
}

/// Bytes that are copied into a file.
package struct FilePiece: Sendable {
  /// The tensor that they belong to.
  package let name: String
  package let offset: Int
  package let byteCount: Int
  package let content: Content

  package init(name: String, offset: Int, byteCount: Int, content: Content) {
    self.name = name
    self.offset = offset
    self.byteCount = byteCount
    self.content = content
  }

  package enum Content: Sendable {
    /// The elements in row-major order.
    case tensor(Tensor)
    /// A storage as it is, for all tensors that share it.
    case storage(Storage)
  }

  package func bytes() throws(CheckpointError) -> Bytes {
    switch content {
    case .tensor(let tensor): try tensor.contiguousBytes()
    case .storage(let storage): try storage.bytes()
    }
  }

  /// The CRC-32 of the bytes.
  func checksum() throws(CheckpointError) -> UInt32 {
    switch content {
    case .tensor(let tensor):
      try tensor.fillsStorage ? tensor.storage.checksum() : crc32(tensor.contiguousBytes())
    case .storage(let storage): try storage.checksum()
    }
  }
}

extension StateDict {
  private func write(
    _ layout: some FileLayout, to path: String, _ options: WriteOptions,
    _ progress: @escaping @Sendable (_ done: Int, _ total: Int) -> Void
  ) throws(CheckpointError) {
    // Tensors that share memory in a small file would each take room of their own.
    if let most = options.source?.mostWritten, byteCount > most {
      throw CheckpointError(
        .limitExceeded,
        "would take \(byteCount) bytes, more than a file of this size justifies (\(most)). "
          + "Raise Limits.writtenBytes if you want it.")
    }
    let pieces = layout.pieces
    let output = try OutputFile(path, replacing: options.replacing)
    do throws(CheckpointError) {
      let total = pieces.reduce(0) { $0 + $1.byteCount } + byteCount
      let done = Atomic<Int>(0)
      // A file takes one write at a time, so one core writes while the others compute checksums.
      let sums = Locked([UInt32](repeating: 0, count: pieces.count))
      try inParallel(1 + pieces.count) { job throws(CheckpointError) in
        if job == 0 {
          for piece in pieces {
            try concerning(piece) { () throws(CheckpointError) in
              try output.write(piece.bytes(), at: piece.offset)
            }
            progress(done.add(piece.byteCount, ordering: .relaxed).newValue, total)
          }
        } else {
          let piece = pieces[job - 1]
          let sum = try concerning(piece) { () throws(CheckpointError) in try piece.checksum() }
          sums.withLock { $0[job - 1] = sum }
        }
      }
      for (offset, bytes) in layout.framing(sums.withLock { $0 }) { try output.write(bytes, at: offset) }
      try options.source?.verifyChecksums()

      try verify(output.readablePath) { progress(done.add($0, ordering: .relaxed).newValue, total) }
      try output.commit()
    } catch {
      output.discard()
      throw error
    }
  }

  /// Opens what was written and compares every name, type, shape and byte.
  private func verify(_ path: String, _ progress: @Sendable (Int) -> Void) throws(CheckpointError) {
    let written = try Checkpoint(path: path).stateDict()
    let failure = CheckpointError(
      .cannotWrite, "was not written as it should be: the disk may be failing. Try another one.")
    guard written.count == count else { throw failure }
    try inParallel(count) { index throws(CheckpointError) in
      let (mine, theirs) = (self[index], written[index])
      guard CodeUnitKey(mine.name) == CodeUnitKey(theirs.name), mine.tensor.dtype == theirs.tensor.dtype,
        mine.tensor.shape == theirs.tensor.shape,
        try mine.tensor.contiguousBytes() == theirs.tensor.contiguousBytes()
      else { throw failure.forTensor(mine.name) }
      progress(mine.tensor.byteCount)
    }
  }
}

/// Calls `work`; what it throws names the piece's tensor.
private func concerning<Result>(
  _ piece: FilePiece, _ work: () throws(CheckpointError) -> Result
) throws(CheckpointError) -> Result {
  do throws(CheckpointError) {
    return try work()
  } catch {
    throw error.forTensor(piece.name)
  }
}

/// Gives places to one piece after the other; no file is larger than a disk can be.
struct FilePlaces {
  /// Views whose elements share memory can be of any size; no file can.
  private static let mostBytes = 1 << 56
  private(set) var end = 0

  /// The place of the next `byteCount` bytes.
  mutating func take(_ byteCount: Int, for name: String) throws(CheckpointError) -> Int {
    let (sum, overflow) = end.addingReportingOverflow(byteCount)
    guard !overflow, sum <= FilePlaces.mostBytes else {
      throw CheckpointError(
        .limitExceeded, "takes \(byteCount) bytes as a copy, which no disk holds. Save it unexpanded.",
        key: name)
    }
    defer { end = sum }
    return end
  }
}

extension Tensor {
  /// Whether the tensor is its storage, byte for byte, so that their checksums are one.
  var fillsStorage: Bool { isContiguous && storageOffset == 0 && byteCount == storage.byteCount }
}
