// SHA-256 (FIPS 180-4): the digest whose first digits torch.hub and torchvision put into the names of files.
//
// A block of 64 bytes takes 64 rounds, each with a word of the message schedule. The rounds of one block wait for
// those of the block before; the schedule does not, so it is computed for four blocks at once, one in each lane.

/// The SHA-256 of bytes.
package enum SHA256 {
  private static let blockSize = 64

  /// The digest of `bytes` as 64 hexadecimal digits.
  package static func digest(of bytes: Bytes) -> String {
    var state = State()
    let whole = bytes.count / blockSize * blockSize
    unsafe bytes.withUnsafeBytes { unsafe state.add(UnsafeRawBufferPointer(rebasing: $0[..<whole])) }
    // The rest, a one bit, zeros, and the length in bits as 64 bits, big-endian.
    var end = bytes.slice(whole, bytes.count - whole)?.array ?? []
    end.append(0x80)
    let length = MemoryLayout<UInt64>.size
    while end.count % blockSize != blockSize - length { end.append(0) }
    let bits = UInt64(truncatingIfNeeded: bytes.count) &* 8
    for byte in (0..<length).reversed() { end.append(UInt8(truncatingIfNeeded: bits >> UInt64(8 * byte))) }
    unsafe end.withUnsafeBytes { unsafe state.add($0) }
    return state.words.indices.map { hex(state.words[$0]) }.joined()
  }

  /// The digits of a digest in a file's name, as torch.hub has it: eight or more between a dash and a dot, as in
  /// `resnet50-11ad3fa6.pth`. Nil where there are none.
  package static func digits(inName name: String) -> String? {
    let (bytes, shortest, longest) = (Array(name.utf8), 8, 64)
    for dash in bytes.indices where bytes[dash] == UInt8(ascii: "-") {
      let digits = bytes[(dash + 1)...].prefix {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0)
          || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains($0)
      }
      if (shortest...longest).contains(digits.count), digits.endIndex < bytes.count,
        bytes[digits.endIndex] == UInt8(ascii: ".")
      {
        return String(decoding: digits, as: UTF8.self)
      }
    }
    return nil
  }

  /// The hash value while it is computed.
  private struct State {
    var words = SIMD8<UInt32>(
      0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19)

    /// Takes whole blocks.
    mutating func add(_ blocks: UnsafeRawBufferPointer) {
      let lanes = 4
      let count = blocks.count / blockSize
      unsafe withUnsafeTemporaryAllocation(of: SIMD4<UInt32>.self, capacity: 64) { schedule in
        guard let schedule = schedule.baseAddress, let start = blocks.baseAddress else { return }
        for first in stride(from: 0, to: count, by: lanes) {
          let used = min(lanes, count - first)
          unsafe expand(start + first * blockSize, used, into: schedule)
          let columns = unsafe UnsafeRawPointer(schedule).assumingMemoryBound(to: UInt32.self)
          for lane in 0..<used { unsafe compress(columns + lane, stride: lanes) }
        }
      }
    }

    /// The schedules of up to four blocks, with the rounds' constants added.
    private func expand(
      _ blocks: UnsafeRawPointer, _ count: Int, into schedule: UnsafeMutablePointer<SIMD4<UInt32>>
    ) {
      for word in 0..<16 {
        func load(_ block: Int) -> UInt32 {
          let offset = min(block, count - 1) * blockSize + 4 * word
          return unsafe UInt32(bigEndian: blocks.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
        }
        unsafe schedule[word] = SIMD4(load(0), load(1), load(2), load(3))
      }
      unsafe constants.withUnsafeBufferPointer { constants in
        for word in 16..<64 {
          let (near, far, last) = unsafe (schedule[word - 2], schedule[word - 15], schedule[word - 16])
          let sigma1 = rotate(near, 17) ^^ rotate(near, 19) ^^ near &>> 10
          let sigma0 = rotate(far, 7) ^^ rotate(far, 18) ^^ far &>> 3
          unsafe schedule[word] = sigma1 &+ schedule[word - 7] &+ sigma0 &+ last
          unsafe schedule[word - 16] = last &+ SIMD4(repeating: constants[word - 16])
        }
        for word in 48..<64 { unsafe schedule[word] &+= SIMD4(repeating: constants[word]) }
      }
    }

    /// The 64 rounds of a block; `schedule` has a word every `stride`.
    private mutating func compress(_ schedule: UnsafePointer<UInt32>, stride: Int) {
      var (a, b, c, d) = (words[0], words[1], words[2], words[3])
      var (e, f, g, h) = (words[4], words[5], words[6], words[7])
      var word = unsafe schedule
      // After eight rounds each variable is back in its place.
      for _ in 0..<8 {
        unsafe round(a, b, c, &d, e, f, g, &h, word[0])
        unsafe round(h, a, b, &c, d, e, f, &g, word[stride])
        unsafe round(g, h, a, &b, c, d, e, &f, word[2 * stride])
        unsafe round(f, g, h, &a, b, c, d, &e, word[3 * stride])
        unsafe round(e, f, g, &h, a, b, c, &d, word[4 * stride])
        unsafe round(d, e, f, &g, h, a, b, &c, word[5 * stride])
        unsafe round(c, d, e, &f, g, h, a, &b, word[6 * stride])
        unsafe round(b, c, d, &e, f, g, h, &a, word[7 * stride])
        unsafe word += 8 * stride
      }
      words &+= SIMD8(a, b, c, d, e, f, g, h)
    }
  }
}

/// One round: `d` and `h` become what the next one calls `e` and `a`.
@inline(__always)
private func round(
  _ a: UInt32, _ b: UInt32, _ c: UInt32, _ d: inout UInt32, _ e: UInt32, _ f: UInt32, _ g: UInt32,
  _ h: inout UInt32, _ word: UInt32
) {
  let choice = g ^ (e & (f ^ g))
  let majority = b ^ ((a ^ b) & (b ^ c))
  let sum = h &+ word &+ choice &+ (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25))
  d &+= sum
  h = sum &+ majority &+ (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22))
}

@inline(__always)
private func rotate(_ value: UInt32, _ count: UInt32) -> UInt32 {
  value &>> count | value &<< (32 &- count)
}

@inline(__always)
private func rotate(_ value: SIMD4<UInt32>, _ count: UInt32) -> SIMD4<UInt32> {
  value &>> SIMD4(repeating: count) &+ value &<< SIMD4(repeating: 32 &- count)
}

infix operator ^^ : AdditionPrecedence

/// Exclusive or. That of integer vectors, and their or, are compiled lane by lane; that of masks is one instruction.
@inline(__always)
private func ^^ (a: SIMD4<UInt32>, b: SIMD4<UInt32>) -> SIMD4<UInt32> {
  typealias Mask = SIMDMask<SIMD4<Int32>>
  return unsafe unsafeBitCast(
    unsafeBitCast(a, to: Mask.self) .^ unsafeBitCast(b, to: Mask.self), to: SIMD4<UInt32>.self)
}

/// The first 32 bits of the fractional parts of the cube roots of the first 64 primes.
private let constants: [UInt32] = [
  0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5, 0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5,
  0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3, 0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174,
  0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc, 0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da,
  0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7, 0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967,
  0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13, 0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85,
  0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3, 0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070,
  0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5, 0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3,
  0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208, 0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2,
]
