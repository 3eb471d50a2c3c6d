// Writing files of tensors, whatever their format: what the formats' layouts name is copied to its places, then comes
// what stands around it, and when all files are read again they get their names.

extension StateDict {
  /// Writes all tensors to a file, reads it again and holds it against what was meant.
  ///
  /// The checksums that the source's records carry are verified on the way, with those of the
  /// tensors computed only once. The file appears under its name when all of that is done; a
  /// failure leaves nothing behind. What is held in memory is a few megabytes, however large the tensors are, but for
  /// records that are compressed in the source.
  ///
  /// - Parameters:
  ///   - format: that which the file's name asks for by its ending, unless given.
  ///   - progress: called now and then, from any thread, with the bytes done and to do.
  /// - Returns: the paths of the files that were written; the last is the one to open.
  /// - Throws: `.cannotWrite`, `.notRepresentable` for a dtype that the format has not, `.limitExceeded` for
  ///   more than the source justifies, or what is wrong with a tensor.
  @discardableResult
  public func write(
    to path: String, as format: OutputFormat? = nil, options: WriteOptions = WriteOptions(),
    progress: @escaping @Sendable (_ done: Int, _ total: Int) -> Void = { _, _ in }
  ) throws(CheckpointError) -> [String] {
    guard let format = format ?? OutputFormat(path: path) else {
      throw CheckpointError(
        .cannotWrite,
        "no format of weights has names with such an ending: \(OutputFormat.listOfEndings) have, and names without one."
      ).inFile(path)
    }
    try format.check(self)
    var files: [PlannedFile] = []
    if let most = options.shardBytes {
      files = try shards(of: most, at: path, as: format, options)
    } else {
      files = [PlannedFile(path: path, layout: try layout(as: format, path: path, options), content: self)]
    }
    guard options.shardBytes != nil, options.replacing else { return try files.write(options, progress) }
    let earlier = EarlierShards(of: path)
    let written = try files.write(options, progress)
    earlier.remove(except: written)
    return written
  }

  /// Where everything goes in a file of this format.
  func layout(
    as format: OutputFormat, path: String, _ options: WriteOptions
  ) throws(CheckpointError) -> any FileLayout {
    switch format {
    case .rsw:
      let names = names
      return try SafetensorsLayout(self) { RSWMetadata.of(names, checksums: $0, options) }
    case .safetensors: return try SafetensorsLayout(self) { _ in options.metadata }
    case .torch: return try TorchLayout(self, path: path)
    case .npz: return try NPZLayout(self)
    }
  }
}

/// Where a format puts what it is given.
package protocol FileLayout: Sendable {
  /// What is copied, in the order in which it lies in the file.
  var pieces: [FilePiece] { get }

  /// What stands around one piece and depends on its checksum at most. It is written along with the piece: small writes of
  /// its own took 5 % of the time of a zip archive.
  func framing(ofPiece piece: Int, checksum: UInt32) -> [FileFraming]

  /// Everything else; as long for any checksums of the pieces.
  func framing(_ checksums: [UInt32]) -> [FileFraming]
}

/// Bytes that are no tensor's, and where they go.
package typealias FileFraming = (offset: Int, bytes: Bytes)

extension FileLayout {
  package func framing(ofPiece piece: Int, checksum: UInt32) -> [FileFraming] { [] }
}

/// A file that is to be written.
package struct PlannedFile: Sendable {
  let path: String
  let layout: any FileLayout
  /// What our reader must find in it; nil for a format that it does not read.
  let content: StateDict?

  package init(path: String, layout: any FileLayout, content: StateDict? = nil) {
    (self.path, self.layout, self.content) = (path, layout, content)
  }
}

extension [PlannedFile] {
  /// Writes all files, and gives them their names, one after the other, when all of them are complete.
  ///
  /// - Returns: their paths.
  /// - Throws: as ``StateDict/write(to:as:options:progress:)``.
  package func write(
    _ options: WriteOptions, _ progress: @escaping @Sendable (_ done: Int, _ total: Int) -> Void
  ) throws(CheckpointError) -> [String] {
    let total = flatMap(\.layout.pieces).reduce(0) { $0.saturatingAdding($1.byteCount) }
    // Tensors that share memory in a small file would each take room of their own.
    if let most = options.source?.mostWritten, total > most {
      throw CheckpointError(
        .limitExceeded,
        "would take \(total) bytes, more than a file of this size justifies (\(most)). "
          + "Raise Limits.writtenBytes if you want it.")
    }
    var outputs: [OutputFile] = []
    do throws(CheckpointError) {
      var done = 0
      for file in self {
        if let source = options.source, source.paths.contains(where: { OutputFile.isSame($0, file.path) }) {
          throw CheckpointError(.cannotWrite, "is read for the output: choose another name.").inFile(
            file.path)
        }
        let output = try OutputFile(file.path, replacing: options.replacing)
        outputs.append(output)
        let before = done
        try file.write(to: output) { progress(before + $0, total) }
        done += file.layout.pieces.reduce(0) { $0 + $1.byteCount }
      }
      try options.source?.verifyChecksums()
      for (file, output) in zip(self, outputs) { try file.verify(output) }
      if options.synchronizing { for output in outputs { try output.synchronize() } }
    } catch {
      for output in outputs { output.discard() }
      throw error
    }
    // Should a name be refused now, the files that have none yet go.
    for (index, output) in outputs.enumerated() {
      do throws(CheckpointError) {
        try output.commit(synchronizing: options.synchronizing)
      } catch {
        for output in outputs[index...] { output.discard() }
        throw error
      }
    }
    return map(\.path)
  }
}

extension PlannedFile {
  fileprivate func write(
    to output: OutputFile, _ progress: @escaping @Sendable (_ done: Int) -> Void
  ) throws(CheckpointError) {
    var (checksums, framing) = try PieceCopy.run(layout, to: output, progress)
    framing += layout.framing(checksums)
    // A file with a byte outside of the room made for it is sent to the disk whole when it replaces another one (ext4).
    try output.reserve(framing.reduce(0) { max($0, $1.offset + $1.bytes.count) })
    for (offset, bytes) in framing { try output.write(bytes, at: offset) }
  }

  /// Opens what was written, and finds every name, type and shape, and every tensor in its place. What lies there was
  /// compared when it was copied.
  fileprivate func verify(_ output: OutputFile) throws(CheckpointError) {
    guard let content else { return }
    let written = try Checkpoint(path: output.readablePath).stateDict()
    guard written.count == content.count else { throw OutputFile.failure }
    for (index, (mine, theirs)) in zip(content, written).enumerated() {
      // What is converted on the way is made from pages of the source.
      if index.isMultiple(of: 16) { mine.tensor.storage.releaseFile() }
      guard CodeUnitKey(mine.name) == CodeUnitKey(theirs.name), try mine.tensor.isFound(in: theirs.tensor)
      else { throw OutputFile.failure.forTensor(mine.name) }
    }
  }
}

extension Tensor {
  fileprivate func isFound(in other: Tensor) throws(CheckpointError) -> Bool {
    guard dtype == other.dtype, shape == other.shape, layout == other.layout,
      quantization == other.quantization, components.count == other.components.count
    else { return false }
    for (mine, theirs) in zip(components, other.components) {
      guard try mine.tensor.isFound(in: theirs.tensor) else { return false }
    }
    if layout != .strided { return true }
    return try beginning() == other.beginning()
  }

  /// The first few elements, by which it is known: of the same size, it ends where it should too. A copy, as each page that
  /// is looked at may bring two megabytes of the file into this process's memory.
  fileprivate func beginning() throws(CheckpointError) -> Bytes {
    try bytes(ofElements: 0..<Swift.min(elementCount, 64)).copied()
  }
}

/// Gives places to one piece after the other; no file is larger than a disk can be.
package struct FilePlaces {
  /// Views whose elements share memory can be of any size; no file can.
  private static let mostBytes = 1 << 56
  package private(set) var end = 0

  package init() {}

  /// The place of the next `byteCount` bytes.
  package mutating func take(_ byteCount: Int, for name: String) throws(CheckpointError) -> Int {
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
