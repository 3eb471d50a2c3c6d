// CRC-32, as zip and PNG have it (ISO 3309), faster than zlib has it. On a core of Zen 3, in runs of a megabyte, carry-less
// products (CarrylessCRC) read 12 GB a second, and what follows here for all other CPUs 6.9, where zlib 1.2.13 reads 3.3.
//
// Most of the work can be done with exclusive ors alone (Russell, "Chorba: A novel
// CRC32 implementation", arXiv 2412.16398): the polynomial of CRC-32 divides
//
//   x^300 + x^155 + x^117 + x^89 + 1
//
// and so what the squares of that are, which have its exponents times a power of two. Taken times 128, any two words of
// 64 bits may be removed from a message when they are added to those that stand 290, 366, 422 and 600 words after
// them: the remainder stays the same. Going through a message so, the word at i is its own bits and the new words at
// i − 290, i − 366, i − 422 and i − 600; of these the last 1,024 are kept. What is left at the end are 600 words, which
// zlib gets.

import CCPU
import CZlib

#if canImport(CarrylessCRC)
  import CarrylessCRC
#endif

/// The CRC-32 of `bytes`.
package func crc32(_ bytes: Bytes) -> UInt32 {
  unsafe bytes.withUnsafeBytes { unsafe crc32($0, continuing: 0) }
}

/// The CRC-32 of `bytes`, of which no more than a piece takes memory of this process if they are a file's.
func crc32(releasing bytes: Bytes) -> UInt32 {
  var checksum: UInt32 = 0
  let pieceSize = 1 << 23
  for range in (0..<bytes.count).parts(of: pieceSize) {
    guard let piece = bytes.slice(range.lowerBound, range.count) else { break }
    unsafe piece.withUnsafeBytes { unsafe checksum = crc32($0, continuing: checksum) }
    if piece.count == pieceSize { bytes.releaseFile() }
  }
  return checksum
}

/// The CRC-32 of bytes and `count` more that follow them, from the checksums of both.
func crc32(_ first: UInt32, followedBy second: UInt32, of count: Int) -> UInt32 {
  UInt32(truncatingIfNeeded: crc32_combine(uLong(first), uLong(second), count))
}

/// The CRC-32 of bytes that follow others.
///
/// - Parameter checksum: that of the others; 0 if there are none.
func crc32(_ bytes: UnsafeRawBufferPointer, continuing checksum: UInt32) -> UInt32 {
  #if canImport(CarrylessCRC)
    if hasCarrylessProducts { return unsafe carrylessChecksum(bytes, continuing: checksum) }
  #endif
  return unsafe reducedChecksum(bytes, continuing: checksum)
}

#if canImport(CarrylessCRC)
  /// Whether the CPU has SSE4.2 and PCLMULQDQ, which came two years later.
  private let hasCarrylessProducts: Bool = {
    let needed: UInt32 = 1 << 1 | 1 << 9 | 1 << 19 | 1 << 20 | 1 << 23
    return cpu_features() & needed == needed
  }()

  private func carrylessChecksum(_ bytes: UnsafeRawBufferPointer, continuing checksum: UInt32) -> UInt32 {
    let groups = bytes.count / 64
    guard groups > 1, let start = bytes.baseAddress else {
      return unsafe zlibChecksum(bytes, continuing: checksum)
    }
    let words = unsafe folded(start, groups: groups, adding: ~checksum)
    let sum = unsafe [words.first.littleEndian, words.second.littleEndian].withUnsafeBytes {
      unsafe zlibChecksum($0, continuing: ~0)
    }
    return unsafe zlibChecksum(
      UnsafeRawBufferPointer(rebasing: bytes[(groups * 64)...]), continuing: sum)
  }
#endif

/// Without any special instruction.
package func reducedChecksum(_ bytes: UnsafeRawBufferPointer, continuing checksum: UInt32) -> UInt32 {
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

private func zlibChecksum(_ bytes: UnsafeRawBufferPointer, continuing checksum: UInt32) -> UInt32 {
  UInt32(
    truncatingIfNeeded: unsafe crc32_z(
      uLong(checksum), bytes.bindMemory(to: UInt8.self).baseAddress, bytes.count))
}

/// By how many words those go ahead that a word is added to.
private let distances = (290, 366, 422, 600)
private let farthest = 600
/// Below this zlib is faster, as measured.
private let shortestReduced = 1 << 14

/// The words that were removed last, with what was added to them before.
@safe private struct WordSums: ~Copyable {
  private static let count = 1024
  private let words = UnsafeMutableRawPointer.allocate(byteCount: WordSums.count * 8, alignment: 64)

  init() { unsafe words.initializeMemory(as: UInt64.self, repeating: 0, count: WordSums.count) }

  deinit { unsafe words.deallocate() }

  /// Removes the first `count` words of `source`.
  ///
  /// - Parameter initial: added to the first of them.
  func remove(_ count: Int, from source: UnsafeRawPointer, adding initial: UInt64) {
    // What lies farthest behind the first word is added to it, and to no other.
    unsafe words.storeBytes(
      of: initial.littleEndian, toByteOffset: WordSums.place(-distances.3) * 8, as: UInt64.self)
    var done = 0
    while done < count {
      // As far as none of the places comes to the end of the memory.
      var run = count - done
      for distance in [0, distances.0, distances.1, distances.2, distances.3] {
        run = min(run, WordSums.count - WordSums.place(done - distance))
      }
      unsafe remove(run, at: done, from: source)
      done += run
    }
  }

  private func remove(_ count: Int, at first: Int, from source: UnsafeRawPointer) {
    let input = unsafe source + first * 8
    let target = unsafe words + WordSums.place(first) * 8
    let (a, b, c, d) = unsafe (
      words + WordSums.place(first - distances.0) * 8, words + WordSums.place(first - distances.1) * 8,
      words + WordSums.place(first - distances.2) * 8, words + WordSums.place(first - distances.3) * 8
    )
    func add<Word: BitwiseCopyable>(_ place: Int, _ sum: (Word, Word) -> Word) {
      func word(_ address: UnsafeRawPointer) -> Word {
        unsafe address.loadUnaligned(fromByteOffset: place, as: Word.self)
      }
      let result = unsafe sum(sum(sum(sum(word(input), word(a)), word(b)), word(c)), word(d))
      unsafe target.storeBytes(of: result, toByteOffset: place, as: Word.self)
    }
    let size = MemoryLayout<SIMD4<UInt64>>.size
    let whole = count * 8 / size * size
    for place in stride(from: 0, to: whole, by: size) { add(place) { (x: SIMD4<UInt64>, y) in x ^ y } }
    for place in stride(from: whole, to: count * 8, by: 8) { add(place) { (x: UInt64, y) in x ^ y } }
  }

  /// What the first `removed` words leave of `bytes`.
  func rest(of bytes: UnsafeRawBufferPointer, after removed: Int) -> UnsafeMutableRawBufferPointer {
    let left = unsafe UnsafeRawBufferPointer(rebasing: bytes[(removed * 8)...])
    let rest = UnsafeMutableRawBufferPointer.allocate(byteCount: left.count, alignment: 64)
    unsafe rest.copyMemory(from: left)
    for distance in [distances.0, distances.1, distances.2, distances.3] {
      for place in 0..<distance {
        let index = WordSums.place(removed + place - distance)
        let sum =
          unsafe rest.load(fromByteOffset: place * 8, as: UInt64.self)
          ^ words.load(fromByteOffset: index * 8, as: UInt64.self)
        unsafe rest.storeBytes(of: sum, toByteOffset: place * 8, as: UInt64.self)
      }
    }
    return unsafe rest
  }

  /// Where the word at `index` is kept; those before the first are zeros.
  private static func place(_ index: Int) -> Int { index & (count - 1) }
}
