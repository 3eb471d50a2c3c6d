// Shared, immutable bytes: a slice of a mapped file or of memory of our own. All unsafe access to
// file content is in this file; every other file asks here, with checked offsets.

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// An immutable run of bytes that keeps its memory (a mapped file or an array) alive.
///
/// A slice costs nothing: it shares the memory.
public struct Bytes: Sendable {
  /// Owns the memory; unmaps or frees it with the last slice.
  private let owner: Memory
  private let start: Int
  /// The number of bytes.
  public let count: Int

  /// Takes over an array.
  public init(_ array: [UInt8]) {
    self = unsafe Bytes(count: array.count) { target in
      unsafe array.withUnsafeBytes { source in unsafe target.copyMemory(from: source) }
    }
  }

  /// New memory of `count` bytes that `fill` writes before anybody reads it.
  public init<Failure: Error>(
    count: Int, _ fill: (UnsafeMutableRawBufferPointer) throws(Failure) -> Void
  ) throws(Failure) {
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 16)
    do throws(Failure) {
      try unsafe fill(memory)
    } catch {
      unsafe memory.deallocate()
      throw error
    }
    self.init(owner: unsafe Memory(UnsafeRawBufferPointer(memory), isMapped: false), start: 0, count: count)
  }

  /// Descriptors from here on are not kept for reading.
  private static let mostDescriptors: CInt = 256

  /// Maps a regular file into memory, read only.
  ///
  /// - Throws: `.cannotRead` when there is no such file, or it is a folder, pipe or device.
  public init(mapping path: String) throws(CheckpointError) {
    // O_NONBLOCK: opening a pipe must not wait for its writer.
    let descriptor = unsafe open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
    guard descriptor >= 0 else {
      throw CheckpointError(.cannotRead, "can't be opened: \(systemMessage(errno)).").inFile(path)
    }
    var isKept = false
    defer { if !isKept { close(descriptor) } }
    var status = stat()
    guard unsafe fstat(descriptor, &status) == 0 else {
      throw CheckpointError(.cannotRead, "can't be examined: \(systemMessage(errno)).").inFile(path)
    }
    guard status.st_mode & S_IFMT == S_IFREG else {
      let kind = status.st_mode & S_IFMT == S_IFDIR ? "a folder" : "no regular file (a pipe or a device)"
      throw CheckpointError(.cannotRead, "is \(kind): name the file itself.").inFile(path)
    }
    // A set of thousands of shards must not use up what a process may have open: later files are read through the map.
    let isOwned = descriptor < Bytes.mostDescriptors
    try self.init(mapping: descriptor, count: Int(status.st_size), path, isOwned: isOwned)
    isKept = isOwned && count > 0
  }

  /// Maps the first `count` bytes of an open file.
  ///
  /// - Parameter isOwned: whether the descriptor is closed with the last slice, unless there are no bytes.
  private init(
    mapping descriptor: CInt, count: Int, _ path: String, isOwned: Bool
  ) throws(CheckpointError) {
    guard count > 0 else {
      self.init([])
      return
    }
    let address = unsafe mmap(nil, count, PROT_READ, MAP_PRIVATE, descriptor, 0)
    guard let address = unsafe address, unsafe address != MAP_FAILED else {
      throw CheckpointError(.cannotRead, "can't be mapped: \(systemMessage(errno)).").inFile(path)
    }
    let memory = unsafe Memory(
      UnsafeRawBufferPointer(start: address, count: count), isMapped: true,
      descriptor: isOwned ? descriptor : nil)
    self.init(owner: memory, start: 0, count: count)
  }

  /// Maps a file that is still being written, as it will be when it has `count` bytes. Only what was written may be
  /// looked at.
  init(mappingUnfinished descriptor: CInt, count: Int) throws(CheckpointError) {
    try self.init(mapping: descriptor, count: count, "", isOwned: false)
  }

  private init(owner: Memory, start: Int, count: Int) {
    self.owner = owner
    self.start = start
    self.count = count
  }

  /// The `count` bytes from `offset` on, or nil when they are not all there.
  public func slice(_ offset: Int, _ count: Int) -> Bytes? {
    guard offset >= 0, count >= 0, offset <= self.count, count <= self.count - offset else { return nil }
    return Bytes(owner: owner, start: start + offset, count: count)
  }

  /// Calls `body` with the bytes, which are valid during the call only.
  public func withUnsafeBytes<Result, Failure: Error>(
    _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    // `start` and `count` were checked against the memory when this slice was made.
    let slice = unsafe UnsafeRawBufferPointer(rebasing: owner.buffer[start..<start + count])
    return try unsafe body(slice)
  }

  /// A copy, which leaves no page of a file in this process's memory.
  ///
  /// - Throws: as ``copy(to:)``.
  func copied() throws(CheckpointError) -> Bytes {
    try unsafe Bytes(count: count) { target throws(CheckpointError) in try unsafe copy(to: target) }
  }

  /// Copies all bytes to `target`, which has room for them. Those of a file are read into it, which takes no more time
  /// than bringing its pages into this process's memory first, a third less where the system keeps it in small pages, and
  /// leaves none there.
  ///
  /// - Throws: `.truncated` when the file does not have them any more, `.cannotRead` when its disk fails.
  func copy(to target: UnsafeMutableRawBufferPointer) throws(CheckpointError) {
    guard let descriptor = owner.descriptor else {
      unsafe withUnsafeBytes { source in unsafe target.copyMemory(from: source) }
      return
    }
    var done = 0
    while done < count {
      let result = unsafe pread(
        descriptor, target.baseAddress.map { unsafe $0 + done }, count - done, off_t(start + done))
      if result < 0 && errno == EINTR { continue }
      guard result >= 0 else {
        throw CheckpointError(.cannotRead, "can't be read: \(systemMessage(errno)).")
      }
      guard result > 0 else {
        throw CheckpointError(
          .truncated, "was cut short while it was read. Replace files by renaming others over them.")
      }
      done += result
    }
  }

  /// Tells the system that the file that this is a slice of will not be looked at soon: its pages take no memory of
  /// this process until they are. Nothing happens where it is no mapped file.
  func releaseFile() { unsafe owner.releasePages(owner.buffer) }

  /// As ``releaseFile()``, for the pages that lie within these bytes. Who has read them does it while others read, which
  /// else takes its time when the file is unmapped.
  func release() { unsafe withUnsafeBytes { unsafe owner.releasePages($0) } }

  /// The little-endian integer at `offset`, or nil when it does not lie inside.
  package func load<T: FixedWidthInteger>(_ type: T.Type, at offset: Int) -> T? {
    guard offset >= 0, offset <= count - MemoryLayout<T>.size else { return nil }
    return unsafe T(littleEndian: owner.buffer.loadUnaligned(fromByteOffset: start + offset, as: T.self))
  }

  /// A copy as an array.
  public var array: [UInt8] { unsafe withUnsafeBytes { bytes in unsafe [UInt8](bytes) } }

  /// A copy with the bytes of each run of `size` in reverse order: from big-endian to little-endian.
  /// What is left over at the end stays as it is.
  package func swappingBytes(ofElements size: Int) -> Bytes {
    unsafe Bytes(count: count) { target in
      unsafe withUnsafeBytes { source in
        for index in 0..<count {
          let run = index / size * size
          unsafe target[index] = source[run + size <= count ? run + (size - 1 - index % size) : index]
        }
      }
    }
  }

  /// The bytes as UTF-8 text, or nil when they are none.
  package var utf8: String? {
    unsafe withUnsafeBytes { bytes in
      // Most names are ASCII, and validating takes a detour through generic code.
      if unsafe bytes.allSatisfy({ $0 < 0x80 }) { return unsafe String(decoding: bytes, as: UTF8.self) }
      return unsafe String(validating: bytes, as: UTF8.self)
    }
  }

  /// Whether the bytes are UTF-8 text.
  package var isUTF8: Bool {
    unsafe withUnsafeBytes { bytes in unsafe bytes.allSatisfy { $0 < 0x80 } } || utf8 != nil
  }

  /// Whether the bytes, if they are a multiple of `boundary`, begin on one: in a mapped file, on one of the file's.
  package func isAligned(to boundary: Int) -> Bool {
    guard count > 0, count.isMultiple(of: boundary) else { return true }
    return unsafe withUnsafeBytes { bytes in Int(bitPattern: bytes.baseAddress).isMultiple(of: boundary) }
  }

  /// Whether those of `text` lie anywhere in the bytes.
  package func contains(_ text: StaticString) -> Bool {
    unsafe withUnsafeBytes { bytes in
      let wanted = unsafe UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
      var rest = unsafe bytes[...]
      while let place = unsafe rest.firstIndex(of: wanted[0]) {
        if unsafe bytes[place...].starts(with: wanted) { return true }
        unsafe rest = bytes[(place + 1)...]
      }
      return false
    }
  }

  /// Whether the bytes begin with those of `text`.
  package func hasPrefix(_ text: StaticString) -> Bool {
    guard count >= text.utf8CodeUnitCount else { return false }
    return unsafe withUnsafeBytes { bytes in
      unsafe bytes.prefix(text.utf8CodeUnitCount).elementsEqual(
        UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }
  }
}

extension Bytes: Equatable {
  /// Whether both hold the same bytes.
  public static func == (a: Bytes, b: Bytes) -> Bool {
    guard a.count == b.count else { return false }
    return unsafe a.withUnsafeBytes { a in unsafe b.withUnsafeBytes { b in unsafe a.hasEqualBytes(b) } }
  }
}

extension Range<Int> {
  /// The bytes in this range of what consists of elements of `size` bytes, of which `make` gives those that the range
  /// touches.
  func slice(
    ofElements size: Int, _ make: (Range<Int>) throws(CheckpointError) -> Bytes
  ) throws(CheckpointError) -> Bytes {
    let first = lowerBound / size
    let bytes = try make(first..<(upperBound + size - 1) / size)
    return bytes.slice(lowerBound - first * size, count) ?? bytes
  }
}

extension UnsafeRawBufferPointer {
  /// Whether a buffer of the same size holds the same bytes.
  func hasEqualBytes(_ other: UnsafeRawBufferPointer) -> Bool {
    guard let left = baseAddress, let right = other.baseAddress else { return true }
    return unsafe memcmp(left, right, count) == 0
  }
}

/// Memory that is written before it is shared and never after, so that any thread may read it.
@safe private final class Memory: @unchecked Sendable {
  let buffer: UnsafeRawBufferPointer
  private let isMapped: Bool
  /// The file that is mapped, from its beginning; nil where others close it, or there is none.
  let descriptor: CInt?

  init(_ buffer: UnsafeRawBufferPointer, isMapped: Bool, descriptor: CInt? = nil) {
    unsafe self.buffer = buffer
    self.isMapped = isMapped
    self.descriptor = descriptor
  }

  /// Lets go of pages that can be read again from the file: those that lie within `range`.
  func releasePages(_ range: UnsafeRawBufferPointer) {
    guard isMapped, let address = range.baseAddress else { return }
    let page = UInt(getpagesize())
    let start = (UInt(bitPattern: address) + page - 1) / page * page
    let end = (UInt(bitPattern: address) + UInt(range.count)) / page * page
    guard start < end else { return }
    unsafe _ = madvise(UnsafeMutableRawPointer(bitPattern: start), Int(end - start), MADV_DONTNEED)
  }

  deinit {
    if isMapped {
      unsafe _ = munmap(UnsafeMutableRawPointer(mutating: buffer.baseAddress), buffer.count)
      if let descriptor { close(descriptor) }
    } else {
      unsafe buffer.deallocate()
    }
  }
}

/// The system's own words for an error number.
package func systemMessage(_ number: CInt) -> String {
  unsafe String(cString: strerror(number))
}
