// Copying what a file is made of to its places. A file takes one write at a time, so one thread writes, a block after the
// other, while the others put the next ones together and compute the checksums of what was meant and of what the file
// holds now.

import CZlib

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// One run over all pieces of a file.
struct PieceCopy: Sendable {
  /// A stretch of the file with what lies in it.
  private struct Block {
    let range: Range<Int>
    var parts: [Part] = []
  }

  /// Bytes of one piece.
  private struct Part {
    let piece: Int
    let range: Range<Int>
  }

  /// What a block is to hold, and the checksums of its parts.
  private struct Prepared {
    let memory: BlockMemory
    let checksums: [UInt32]
  }

  /// What a thread does next.
  private enum Task {
    /// Putting together what comes into a block.
    case prepare(Int)
    case write(Int, Prepared)
    /// Reading a block again.
    case check(Int, [UInt32])
    /// Other threads do what can be done.
    case wait
    case end
  }

  private struct State {
    /// The first block that nobody has begun to prepare, and the first that nobody has begun to write.
    var unprepared = 0
    var unwritten = 0
    /// What is prepared, by block.
    var prepared: [Int: Prepared] = [:]
    /// Memory of blocks that are written.
    var free: [BlockMemory] = []
    var isWriting = false
    /// What is written and waits to be checked, with the checksums of its parts.
    var unchecked: [(block: Int, checksums: [UInt32])] = []
    /// How many threads are at work.
    var working = 0
    /// What went wrong in the first of the blocks in which something did. Those before it are still prepared, so that a
    /// file always gives the same error.
    var failure: (block: Int, error: CheckpointError)?
    var bytesDone = 0
    /// Of each piece, as far as it is written.
    var checksums: [UInt32]
    /// Of written pieces, what is not in the blocks that are put together.
    var framing: [FileFraming] = []
  }

  /// The size of a block. Blocks begin at multiples of it: writing a file in other pieces takes twice the time, and
  /// only pages of this size are brought in at once when the file is read again.
  private static let blockSize = 1 << 21
  /// How many blocks may be prepared and not written: what takes memory.
  private static let mostPrepared = 3
  /// How many blocks may be written and not checked, which should still be in the cache then.
  private static let mostUnchecked = 4
  /// How much of the source and of the file may be in this process's memory.
  private static let mostMapped = 1 << 22
  /// One writes, and two do all else faster than it writes.
  private static let threads = 3

  private let layout: any FileLayout
  private let pieces: [FilePiece]
  private let blocks: [Block]
  private let output: OutputFile
  /// The file as it is read again.
  private let written: Bytes
  /// The bytes of the largest block.
  private let memorySize: Int
  private let state: Locked<State>
  private let progress: @Sendable (Int) -> Void

  /// Copies all pieces; zeros come between them.
  ///
  /// - Returns: the CRC-32 of each, and what stands around them and is not yet written.
  static func run(
    _ layout: any FileLayout, to output: OutputFile, _ progress: @escaping @Sendable (Int) -> Void
  ) throws(CheckpointError) -> (checksums: [UInt32], framing: [FileFraming]) {
    let copy = try PieceCopy(layout, output, progress)
    try inParallel(threads) { _ throws(CheckpointError) in copy.work() }
    let (failure, checksums, framing) = copy.state.withLock { ($0.failure, $0.checksums, $0.framing) }
    if let failure { throw failure.error }
    for (piece, checksum) in zip(copy.pieces, checksums) where piece.byteCount > 0 {
      try piece.confirm(checksum)
    }
    // Pieces without bytes are in no block.
    let empty = copy.pieces.indices.lazy.filter { copy.pieces[$0].byteCount == 0 }
    return (checksums, framing + empty.flatMap { layout.framing(ofPiece: $0, checksum: 0) })
  }

  private init(
    _ layout: any FileLayout, _ output: OutputFile, _ progress: @escaping @Sendable (Int) -> Void
  ) throws(CheckpointError) {
    self.layout = layout
    pieces = layout.pieces
    self.output = output
    self.progress = progress
    let end = pieces.reduce(0) { max($0, $1.offset + $1.byteCount) }
    blocks = PieceCopy.blocks(of: pieces, end: end)
    state = Locked(State(checksums: [UInt32](repeating: 0, count: pieces.count)))
    memorySize = min(end, PieceCopy.blockSize)
    try output.reserve(end)
    written = try output.written(end)
  }

  private static func blocks(of pieces: [FilePiece], end: Int) -> [Block] {
    var blocks = stride(from: 0, to: end, by: blockSize).map { start in
      Block(range: start..<min(start + blockSize, end))
    }
    for index in pieces.indices.sorted(by: { pieces[$0].offset < pieces[$1].offset }) {
      let piece = pieces[index]
      let whole = piece.offset..<piece.offset + piece.byteCount
      var start = whole.lowerBound
      while start < whole.upperBound {
        let block = start / blockSize
        let part = start..<min(whole.upperBound, blocks[block].range.upperBound)
        blocks[block].parts.append(
          Part(piece: index, range: part.lowerBound - piece.offset..<part.upperBound - piece.offset))
        start = part.upperBound
      }
    }
    return blocks
  }

  private func work() {
    while true {
      let task = state.withLock { next(&$0) }
      do throws(CheckpointError) {
        switch task {
        case .prepare(let index): try prepare(index)
        case .write(let index, let prepared): try write(index, prepared)
        case .check(let index, let checksums): try check(index, checksums)
        case .wait: sched_yield()  // the shortest sleep takes a third of the time of a block
        case .end: return
        }
      } catch {
        fail(task, error)
      }
      if case .wait = task { continue }
      state.withLock { $0.working -= 1 }
    }
  }

  private func next(_ state: inout State) -> Task {
    let end = state.failure?.block ?? blocks.count
    if state.failure == nil, !state.isWriting, state.unchecked.count < PieceCopy.mostUnchecked,
      let prepared = state.prepared.removeValue(forKey: state.unwritten)
    {
      state.isWriting = true
      state.working += 1
      state.unwritten += 1
      return .write(state.unwritten - 1, prepared)
    }
    // The writer must not wait; then comes what is still in the cache.
    let ahead = state.unprepared - state.unwritten
    let mayPrepare = state.unprepared < end && (ahead < PieceCopy.mostPrepared || state.failure != nil)
    if mayPrepare, ahead < 2 || state.unchecked.isEmpty {
      state.working += 1
      state.unprepared += 1
      return .prepare(state.unprepared - 1)
    }
    if state.failure == nil, !state.unchecked.isEmpty {
      let (block, checksums) = state.unchecked.removeFirst()
      state.working += 1
      return .check(block, checksums)
    }
    let isDone = state.failure != nil || state.unwritten == blocks.count
    return isDone && state.unprepared >= end && state.working == 0 ? .end : .wait
  }

  private func fail(_ task: Task, _ error: CheckpointError) {
    guard
      let block =
        switch task {
        case .prepare(let index), .write(let index, _), .check(let index, _): index
        case .wait, .end: nil as Int?
        }
    else { return }
    state.withLock { if block < $0.failure?.block ?? .max { $0.failure = (block, error) } }
  }

  private func prepare(_ index: Int) throws(CheckpointError) {
    let block = blocks[index]
    let memory = state.withLock { $0.free.popLast() } ?? BlockMemory(count: memorySize)
    var sums: [UInt32] = []
    var end = block.range.lowerBound
    for part in block.parts {
      let bytes = try pieces[part.piece].bytes(in: part.range)
      let place = place(part)
      memory.clear(end - block.range.lowerBound..<place.lowerBound - block.range.lowerBound)
      do throws(CheckpointError) {
        sums.append(try memory.copy(bytes, to: place.lowerBound - block.range.lowerBound))
      } catch {
        throw error.forTensor(pieces[part.piece].name)
      }
      end = place.upperBound
    }
    memory.clear(end - block.range.lowerBound..<block.range.count)
    let prepared = Prepared(memory: memory, checksums: sums)
    state.withLock { state in if state.failure == nil { state.prepared[index] = prepared } }
  }

  /// The place of a part in the file.
  private func place(_ part: Part) -> Range<Int> {
    let start = pieces[part.piece].offset
    return start + part.range.lowerBound..<start + part.range.upperBound
  }

  private func write(_ index: Int, _ prepared: Prepared) throws(CheckpointError) {
    defer { state.withLock { $0.isWriting = false } }
    let range = blocks[index].range
    try addFraming(to: prepared, of: index)
    try unsafe prepared.memory.withUnsafeBytes(range.count) { bytes throws(CheckpointError) in
      try unsafe output.write(bytes, at: range.lowerBound)
    }
    state.withLock { state in
      state.free.append(prepared.memory)
      state.unchecked.append((index, prepared.checksums))
    }
  }

  /// Puts what stands around the pieces that end in a block into it, where it lies there.
  private func addFraming(to prepared: Prepared, of index: Int) throws(CheckpointError) {
    let block = blocks[index]
    let ended = state.withLock { state in
      for (part, checksum) in zip(block.parts, prepared.checksums) {
        let sum = state.checksums[part.piece]
        state.checksums[part.piece] = crc32(sum, followedBy: checksum, of: part.range.count)
      }
      return block.parts.filter { $0.range.upperBound == pieces[$0.piece].byteCount }
        .map { ($0.piece, state.checksums[$0.piece]) }
    }
    for (piece, checksum) in ended {
      for (offset, bytes) in layout.framing(ofPiece: piece, checksum: checksum) {
        if offset >= block.range.lowerBound, offset + bytes.count <= block.range.upperBound {
          _ = try prepared.memory.copy(bytes, to: offset - block.range.lowerBound)
        } else {
          state.withLock { $0.framing.append((offset, bytes)) }
        }
      }
    }
  }

  private func check(_ index: Int, _ sums: [UInt32]) throws(CheckpointError) {
    let block = blocks[index]
    for (part, checksum) in zip(block.parts, sums) {
      let place = place(part)
      guard let copy = written.slice(place.lowerBound, place.count), crc32(copy) == checksum else {
        throw OutputFile.failure.forTensor(pieces[part.piece].name)
      }
    }
    let size = block.parts.reduce(0) { $0 + $1.range.count }
    let done = state.withLock { state in
      state.bytesDone += size
      return state.bytesDone
    }
    if done / PieceCopy.mostMapped > (done - size) / PieceCopy.mostMapped {
      if let part = block.parts.first { pieces[part.piece].storage.releaseFile() }
      written.releaseFile()
    }
    progress(done)
  }
}
