// Writes an .rsw file: a safetensors file whose header and order make it open at once and prove
// itself. docs/rsw-format.md is the specification; Safetensors/SafetensorsReader.swift has the layout.

import Synchronization

/// What an .rsw file says of itself beside its tensors.
public struct RSWOptions: Sendable {
  /// The file that is converted: its name and size are noted, and all its checksums verified.
  public var source: Checkpoint?
  /// The model's architecture as a JSON object.
  public var architecture: String?
  /// Whether an existing file may be replaced.
  public var replacing = false

  /// Nothing said, nothing replaced.
  public init() {}
}

extension StateDict {
  /// Writes all tensors to an .rsw file, reads it again and holds it against what was meant.
  ///
  /// The checksums that the source's records carry are verified on the way, with those of the
  /// tensors computed only once. The file appears under its name when all of that is done; a
  /// failure leaves nothing behind.
  ///
  /// - Parameter progress: called now and then, from any thread, with the bytes done and to do.
  /// - Throws: `.cannotWrite`, `.notRepresentable` for a dtype that safetensors has not, `.limitExceeded` for
  ///   more than the source justifies, or what is wrong with a tensor.
  public func writeRSW(
    to path: String, options: RSWOptions = RSWOptions(),
    progress: @escaping @Sendable (_ done: Int, _ total: Int) -> Void = { _, _ in }
  ) throws(CheckpointError) {
    // Tensors that share memory in a small file would each take room of their own.
    if let most = options.source?.mostWritten, byteCount > most {
      throw CheckpointError(
        .limitExceeded,
        "would take \(byteCount) bytes, more than a file of this size justifies (\(most)). "
          + "Raise Limits.writtenBytes if you want it.")
    }
    let layout = try RSWLayout(self)
    let output = try OutputFile(path, replacing: options.replacing)
    do throws(CheckpointError) {
      // Checksums have a fixed width, so the header's size is known before they are.
      let blank = [UInt32](repeating: 0, count: count)
      let headerSize = layout.header(self, options, checksums: blank).count
      let total = 2 * byteCount
      let done = Atomic<Int>(0)

      // A file takes one write at a time, so one core writes while the others compute checksums.
      let sums = Locked(blank)
      try inParallel(1 + count) { job throws(CheckpointError) in
        if job == 0 {
          try write(to: output, at: layout.offsets.map { headerSize + $0 }) {
            progress(done.add($0, ordering: .relaxed).newValue, total)
          }
        } else {
          let sum = try checksum(job - 1)
          sums.withLock { $0[job - 1] = sum }
        }
      }
      try output.write(layout.header(self, options, checksums: sums.withLock { $0 }), at: 0)
      try options.source?.verifyChecksums()

      try verify(output.readablePath) { progress(done.add($0, ordering: .relaxed).newValue, total) }
      try output.commit()
    } catch {
      output.discard()
      throw error
    }
  }

  private func write(
    to output: OutputFile, at offsets: [Int], _ progress: (Int) -> Void
  ) throws(CheckpointError) {
    for (offset, (name, tensor)) in zip(offsets, self) {
      do throws(CheckpointError) {
        try output.write(tensor.contiguousBytes(), at: offset)
      } catch {
        throw error.forTensor(name)
      }
      progress(tensor.byteCount)
    }
  }

  /// The CRC-32 of the tensor at `index`.
  private func checksum(_ index: Int) throws(CheckpointError) -> UInt32 {
    let (name, tensor) = self[index]
    do throws(CheckpointError) {
      return try tensor.fillsStorage ? tensor.storage.checksum() : crc32(tensor.contiguousBytes())
    } catch {
      throw error.forTensor(name)
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

/// Where each tensor goes.
private struct RSWLayout {
  static let alignment = 64
  /// Views whose elements share memory can be of any size; no file can.
  private static let mostBytes = 1 << 56
  /// From the end of the header, by the tensors' positions in the state dict.
  private(set) var offsets: [Int]

  init(_ stateDict: StateDict) throws(CheckpointError) {
    offsets = [Int](repeating: 0, count: stateDict.count)
    var end = 0
    // Sizes that are multiples of 64 first: each of them then begins on such a boundary.
    for aligned in [true, false] {
      for (index, (name, tensor)) in stateDict.enumerated()
      where tensor.byteCount.isMultiple(of: RSWLayout.alignment) == aligned {
        guard tensor.layout == .strided else { throw tensor.layout.error.forTensor(name) }
        guard tensor.dtype.safetensorsName != nil else {
          let wayOut =
            tensor.quantization == nil
            ? "Keep the checkpoint in PyTorch's format." : "Write its values as float32 with --dense."
          throw CheckpointError(
            .notRepresentable,
            "is \(tensor.dtype), which safetensors and so rsw can't hold. \(wayOut)", key: name)
        }
        guard name != "__metadata__" else {
          throw CheckpointError(
            .notRepresentable, "has the one name that safetensors and so rsw keeps for itself. Rename it.",
            key: name)
        }
        offsets[index] = end
        let (sum, overflow) = end.addingReportingOverflow(tensor.byteCount)
        guard !overflow, sum <= RSWLayout.mostBytes else {
          throw CheckpointError(
            .limitExceeded,
            "takes \(tensor.byteCount) bytes as a copy, which no disk holds. Save it unexpanded.",
            key: name)
        }
        end = sum
      }
    }
  }

  /// The size and the JSON of the header, padded so that the data begins on a boundary.
  func header(_ stateDict: StateDict, _ options: RSWOptions, checksums: [UInt32]) -> Bytes {
    var metadata: [(name: String, value: JSON)] = [
      ("format", .string(RSWMetadata.format)), ("rsw_version", .string(String(RSWMetadata.version))),
    ]
    if let source = options.source {
      metadata.append(("source", .string(String(source.path.split(separator: "/").last ?? ""))))
      metadata.append(("source_bytes", .string(String(source.byteCount))))
    }
    if let architecture = options.architecture { metadata.append(("architecture", .string(architecture))) }
    let sums = JSON.object(zip(stateDict, checksums).map { ($0.name, .string(hex($1))) })
    metadata.append(("crc32", .string(sums.text())))

    var members: [(name: String, value: JSON)] = [("__metadata__", .object(metadata))]
    for (offset, (name, tensor)) in zip(offsets, stateDict) {
      members.append(
        (
          name,
          .object([
            ("dtype", .string(tensor.dtype.safetensorsName ?? "")), ("shape", .ints(tensor.shape)),
            ("data_offsets", .ints([offset, offset + tensor.byteCount])),
          ])
        ))
    }
    var json = Array(JSON.object(members).text().utf8)
    let prefix = MemoryLayout<UInt64>.size
    let excess = (prefix + json.count) % RSWLayout.alignment
    if excess > 0 { json += [UInt8](repeating: 0x20, count: RSWLayout.alignment - excess) }
    let size = (0..<prefix).map { UInt8(truncatingIfNeeded: json.count >> (8 * $0)) }
    return Bytes(size + json)
  }
}

extension Tensor {
  /// Whether the tensor is its storage, byte for byte, so that their checksums are one.
  fileprivate var fillsStorage: Bool {
    isContiguous && storageOffset == 0 && byteCount == storage.byteCount
  }
}
