// One pass over the bytes of a file: each is read once, for its checksum and for values that are not finite, while
// it is in the cache. Long runs are cut into parts for all cores.

/// A run of bytes that has a checksum, or holds values, or both.
struct ByteRun: Sendable {
  enum Source: Sendable {
    case record(ZipRecord)
    case tensor(String, Tensor)
    case storage(Storage)
  }

  let source: Source
  /// What the tensors that look into the run would have if they were not finite.
  var patterns: Set<NonFinitePattern> = []
  /// The recorded checksum of a tensor in an rsw file.
  var recorded: String?

  /// Whether this is a record of an archive.
  var isRecord: Bool {
    if case .record = source { return true }
    return false
  }

  /// Whether the checksum is compared with anything.
  var hasChecksum: Bool {
    if case .record(let record) = source { return record.hasChecksum }
    return recorded != nil
  }

  /// The bytes; nil for compressed ones that nothing looks into, which are not kept.
  func bytes() throws(CheckpointError) -> Bytes? {
    switch source {
    case .record(let record): record.entry.isStored || !patterns.isEmpty ? try record.bytes() : nil
    case .tensor(_, let tensor): try tensor.contiguousBytes()
    case .storage(let storage): try storage.bytes()
    }
  }

  /// Compares the checksum of the bytes with the recorded one.
  func check(_ checksum: UInt32) throws(CheckpointError) {
    switch source {
    case .record(let record): try record.check(checksum)
    case .tensor(let name, _): try RSWMetadata.check(checksum, recorded, name)
    case .storage: return
    }
  }

  var byteCount: Int {
    switch source {
    case .record(let record): record.entry.uncompressedSize
    case .tensor(_, let tensor): tensor.byteCount
    case .storage(let storage): storage.byteCount
    }
  }
}

/// What a pass found of one run.
struct ByteRunOutcome: Sendable {
  /// Whether there may be values that are not finite.
  var isSuspect = false
  /// Why it can't be read, or that its checksum is another one.
  var error: CheckpointError?
}

enum BytePass {
  /// What makes a job for a core.
  private static let partSize = 4 << 20
  /// What is read for the checksum, then for the values: as much as a core has cache of its own.
  private static let pieceSize = 1 << 19

  private struct Part: Sendable {
    let run: Int
    let range: Range<Int>
  }

  /// Goes through all runs on all cores, the longest first.
  ///
  /// - Parameter beside: other work that is begun first, each on one core.
  static func outcomes(
    of runs: [ByteRun], beside: [@Sendable () -> Void]
  ) -> [ByteRunOutcome] {
    let parts = runs.indices.flatMap { run in
      let size = runs[run].byteCount
      guard size > partSize else { return [Part(run: run, range: 0..<size)] }
      // Compressed bytes come one after the other, and a record that can't be read may declare any size.
      if case .record(let record) = runs[run].source, !record.entry.isStored || (try? record.bytes()) == nil {
        return [Part(run: run, range: 0..<size)]
      }
      return (0..<size).parts(of: partSize).map { Part(run: run, range: $0) }
    }.sorted { $0.range.count > $1.range.count }

    let outcomes = Locked([ByteRunOutcome](repeating: ByteRunOutcome(), count: runs.count))
    let sums = Locked([Int: [(range: Range<Int>, sum: UInt32)]]())
    forAll(beside.count + parts.count) { job in
      guard job >= beside.count else { return beside[job]() }
      let part = parts[job - beside.count]
      let run = runs[part.run]
      do throws(CheckpointError) {
        guard let whole = try run.bytes() else {
          if case .record(let record) = run.source { _ = try record.verifiedChecksum() }
          return
        }
        let bytes = whole.slice(part.range.lowerBound, part.range.count) ?? whole
        let (sum, isSuspect) = read(bytes, run.hasChecksum, run.patterns)
        bytes.release()
        sums.withLock { $0[part.run, default: []].append((part.range, sum)) }
        if isSuspect { outcomes.withLock { $0[part.run].isSuspect = true } }
      } catch {
        outcomes.withLock { $0[part.run].error = error }
      }
    }
    var result = outcomes.withLock { $0 }
    for (run, sums) in sums.withLock({ $0 }) where result[run].error == nil && runs[run].hasChecksum {
      let ordered = sums.sorted { $0.range.lowerBound < $1.range.lowerBound }
      let whole = ordered.dropFirst().reduce(ordered.first?.sum ?? 0) {
        crc32($0, followedBy: $1.sum, of: $1.range.count)
      }
      do throws(CheckpointError) {
        try runs[run].check(whole)
      } catch {
        result[run].error = error
      }
    }
    return result
  }

  private static func read(
    _ bytes: Bytes, _ hasChecksum: Bool, _ patterns: Set<NonFinitePattern>
  ) -> (sum: UInt32, isSuspect: Bool) {
    var (sum, isSuspect): (UInt32, Bool) = (0, false)
    unsafe bytes.withUnsafeBytes { bytes in
      for range in (0..<bytes.count).parts(of: pieceSize) {
        let piece = unsafe UnsafeRawBufferPointer(rebasing: bytes[range])
        if hasChecksum { unsafe sum = crc32(piece, continuing: sum) }
        for pattern in patterns where !isSuspect { isSuspect = unsafe pattern.occurs(in: piece) }
      }
    }
    return (sum, isSuspect)
  }
}
