// CRC-32, as zip and PNG have it (ISO 3309), at the speed of memory.
//
// zlib's loop reads 1 to 2 GB a second. Most of the work can be done with exclusive ors alone: the polynomial of CRC-32
// divides
//
//   x^(64·3006) + x^(64·2866) + x^(64·2215) + 1
//
// so that any word of 64 bits may be removed from a message when it is added to the words that stand 140, 791 and 3006
// places after it: the remainder stays the same. (A search over all sums of four powers of x^64 up to 3,100 found this
// one only; Russell describes the idea in "Chorba: A novel CRC32 implementation", arXiv 2412.16398.) Going through a message so, the
// word at i is its own bits and the new words at i − 140, i − 791 and i − 3006; of these the last 4,096 are kept.
// What is left at the end are 3,006 words, which zlib gets.

import CZlib

/// The CRC-32 of `bytes`.
package func crc32(_ bytes: Bytes) -> UInt32 {
  unsafe bytes.withUnsafeBytes { unsafe crc32($0, continuing: 0) }
}

/// The CRC-32 of bytes that follow others.
///
/// - Parameter checksum: that of the others; 0 if there are none.
func crc32(_ bytes: UnsafeRawBufferPointer, continuing checksum: UInt32) -> UInt32 {
  guard bytes.count >= shortestReduced, let start = bytes.baseAddress else {
    return unsafe zlibChecksum(bytes, continuing: checksum)
  }
  let kept = WordSums()
  let removed = bytes.count / 8 - farthest
  // A checksum is where the division stands, which is as if its bits had been added to the next ones.
  unsafe kept.remove(removed, from: start, adding: UInt64(~checksum))
  let rest = unsafe kept.rest(of: bytes, after: removed)
  defer { unsafe rest.deallocate() }
  return unsafe zlibChecksum(UnsafeRawBufferPointer(rest), continuing: ~0)
}

/// The CRC-32 of two runs of bytes one after the other, which have these CRC-32s; the second has `count` bytes.
func crc32(joining first: UInt32, _ second: UInt32, count: Int) -> UInt32 {
  UInt32(truncatingIfNeeded: crc32_combine(uLong(first), uLong(second), count))
}

private func zlibChecksum(_ bytes: UnsafeRawBufferPointer, continuing checksum: UInt32) -> UInt32 {
  UInt32(
    truncatingIfNeeded: unsafe crc32_z(
      uLong(checksum), bytes.bindMemory(to: UInt8.self).baseAddress, bytes.count))
}

/// By how many words the three go ahead that a word is added to.
private let distances = (140, 791, 3006)
private let farthest = 3006
/// Below this zlib has done before the rest would be.
private let shortestReduced = 1 << 16

/// The words that were removed last, with what was added to them before.
private struct WordSums: ~Copyable {
  private static let count = 4096
  private let words = UnsafeMutableRawPointer.allocate(byteCount: WordSums.count * 8, alignment: 64)

  init() { unsafe words.initializeMemory(as: UInt64.self, repeating: 0, count: WordSums.count) }

  deinit { unsafe words.deallocate() }

  /// Removes the first `count` words of `source`.
  ///
  /// - Parameter initial: added to the first of them.
  func remove(_ count: Int, from source: UnsafeRawPointer, adding initial: UInt64) {
    var done = 0
    if count > 0 {
      let first = unsafe UInt64(littleEndian: source.loadUnaligned(as: UInt64.self)) ^ initial
      unsafe words.storeBytes(of: first.littleEndian, as: UInt64.self)
      done = 1
    }
    while done < count {
      // As far as none of the four places comes to the end of the memory.
      var run = count - done
      for distance in [0, distances.0, distances.1, distances.2] {
        run = min(run, WordSums.count - WordSums.place(done - distance))
      }
      unsafe remove(run, at: done, from: source)
      done += run
    }
  }

  private func remove(_ count: Int, at first: Int, from source: UnsafeRawPointer) {
    let input = unsafe source + first * 8
    let target = unsafe words + WordSums.place(first) * 8
    let near = unsafe words + WordSums.place(first - distances.0) * 8
    let middle = unsafe words + WordSums.place(first - distances.1) * 8
    let far = unsafe words + WordSums.place(first - distances.2) * 8
    typealias Vector = SIMD4<UInt64>
    let size = MemoryLayout<Vector>.size
    var place = 0
    while place + size <= count * 8 {
      let sum =
        unsafe input.loadUnaligned(fromByteOffset: place, as: Vector.self)
        ^ near.loadUnaligned(fromByteOffset: place, as: Vector.self)
        ^ middle.loadUnaligned(fromByteOffset: place, as: Vector.self)
        ^ far.loadUnaligned(fromByteOffset: place, as: Vector.self)
      unsafe target.storeBytes(of: sum, toByteOffset: place, as: Vector.self)
      place += size
    }
    while place < count * 8 {
      let sum =
        unsafe input.loadUnaligned(fromByteOffset: place, as: UInt64.self)
        ^ near.load(fromByteOffset: place, as: UInt64.self)
        ^ middle.load(fromByteOffset: place, as: UInt64.self)
        ^ far.load(fromByteOffset: place, as: UInt64.self)
      unsafe target.storeBytes(of: sum, toByteOffset: place, as: UInt64.self)
      place += 8
    }
  }

  /// What the first `removed` words leave of `bytes`.
  func rest(of bytes: UnsafeRawBufferPointer, after removed: Int) -> UnsafeMutableRawBufferPointer {
    let left = unsafe UnsafeRawBufferPointer(rebasing: bytes[(removed * 8)...])
    let rest = UnsafeMutableRawBufferPointer.allocate(byteCount: left.count, alignment: 64)
    unsafe rest.copyMemory(from: left)
    for distance in [distances.0, distances.1, distances.2] {
      for place in 0..<distance {
        let word = unsafe words.load(
          fromByteOffset: WordSums.place(removed + place - distance) * 8, as: UInt64.self)
        unsafe rest.storeBytes(
          of: rest.load(fromByteOffset: place * 8, as: UInt64.self) ^ word, toByteOffset: place * 8,
          as: UInt64.self)
      }
    }
    return rest
  }

  /// Where the word at `index` is kept; those before the first are zeros.
  private static func place(_ index: Int) -> Int { index & (count - 1) }
}
