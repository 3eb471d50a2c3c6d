// A file while it is downloaded: `NAME.partial` beside its place, locked by whoever writes it. The system takes the
// lock away when a process ends, however it ends, and the next one goes on where it stopped.

import Checkpoints

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// A file that gets its name when it is complete. Closed by `commit()`, `discard()` or `keep()`.
struct PartialFile {
  /// The name that it will have.
  let path: String
  var partialPath: String { path + ".partial" }
  private let descriptor: CInt
  /// How many bytes are there.
  private(set) var count: Int

  private static let pause: UInt32 = 100_000

  /// Opens what is there of `path`, or begins it; waits while another process or task writes it.
  ///
  /// - Parameters:
  ///   - replacing: whether a complete file may be there.
  ///   - waiting: called again and again while another one writes; ends the wait by throwing.
  /// - Returns: nil when there is a complete file and it is not to be replaced.
  init?(_ path: String, replacing: Bool, waiting: () throws(FetchError) -> Void) throws(FetchError) {
    self.path = path
    let partialPath = path + ".partial"
    while true {
      let descriptor = open(partialPath, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o666)
      guard descriptor >= 0 else { throw CacheFolder.cannotWrite(partialPath, "can't be written", errno) }
      if flock(descriptor, LOCK_EX | LOCK_NB) != 0, errno == EWOULDBLOCK || errno == EINTR {
        close(descriptor)
        try waiting()
        usleep(PartialFile.pause)
        continue
      }
      // (File systems without locks are written without one: the digest tells if that went wrong.)
      // Whoever had the lock may have given the file its name, or removed it.
      guard PartialFile.leads(partialPath, to: descriptor) else {
        close(descriptor)
        continue
      }
      if !replacing, OutputFile.exists(path) {
        unlink(partialPath)
        close(descriptor)
        return nil
      }
      self.descriptor = descriptor
      var status = stat()
      guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
        close(descriptor)
        throw FetchError(
          .cannotWrite, "\(printable(partialPath)) is no regular file: remove it.")
      }
      count = Int(status.st_size)
      return
    }
  }

  private static func leads(_ path: String, to descriptor: CInt) -> Bool {
    var (named, opened) = (stat(), stat())
    return stat(path, &named) == 0 && fstat(descriptor, &opened) == 0 && named.st_ino == opened.st_ino
      && named.st_dev == opened.st_dev
  }

  /// Writes bytes at the end; the number of the system's error, or 0.
  mutating func append(_ bytes: UnsafeRawBufferPointer) -> CInt {
    var written = 0
    while written < bytes.count {
      let result = pwrite(
        descriptor, bytes.baseAddress.map { $0 + written }, bytes.count - written, off_t(count))
      if result < 0, errno == EINTR { continue }
      guard result > 0 else { return result < 0 ? errno : ENOSPC }
      written += result
      count += result
    }
    return 0
  }

  /// Begins again.
  mutating func empty() throws(FetchError) {
    guard ftruncate(descriptor, 0) == 0 else {
      throw CacheFolder.cannotWrite(partialPath, "can't be emptied", errno)
    }
    count = 0
  }

  /// The SHA-256 of what is there.
  func digest() throws(FetchError) -> String {
    do {
      return SHA256.digest(of: try Bytes(mapping: partialPath))
    } catch {
      throw FetchError(.cannotWrite, "\(error)")
    }
  }

  /// Gives the file its name, once it is on the disk.
  func commit() throws(FetchError) {
    guard fsync(descriptor) == 0, rename(partialPath, path) == 0 else {
      let reason = errno
      discard()
      throw CacheFolder.cannotWrite(path, "can't be completed", reason)
    }
    close(descriptor)
  }

  /// Removes what is there.
  func discard() {
    unlink(partialPath)
    close(descriptor)
  }

  /// Leaves what is there for the next attempt.
  func keep() {
    if count == 0 { unlink(partialPath) }
    close(descriptor)
  }
}
