// A file that appears under its name only when it is complete. Until then it has no name, so that
// nothing is left of it however the process ends, or where the file system has no files without
// one, a temporary name beside its place.

import CCPU

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// A file being written. Call `commit()` when all is written, `discard()` when something failed.
package struct OutputFile: Sendable {
  private let path: String
  /// The folder of `path`, with its slash.
  private let folder: String
  private let replacing: Bool
  private let descriptor: CInt
  /// The name that the file has before it is complete, on file systems that demand one.
  private let temporaryPath: String?

  /// Creates the file in the folder of `path`, without its name.
  ///
  /// - Throws: `.cannotWrite` when there is no such folder, no permission, or already a file that
  ///   may not be replaced.
  package init(_ path: String, replacing: Bool) throws(CheckpointError) {
    guard !path.isEmpty else { throw CheckpointError(.cannotWrite, "is no name: name a file.").inFile(path) }
    let path = try OutputFile.target(path)
    var status = stat()
    if unsafe stat(path, &status) == 0 {
      guard status.st_mode & S_IFMT == S_IFREG else {
        throw CheckpointError(
          .cannotWrite,
          status.st_mode & S_IFMT == S_IFDIR
            ? "is a folder: name a file."
            : "is a pipe or a device, and what is written is read again: name a file."
        ).inFile(path)
      }
      guard replacing else {
        throw CheckpointError(
          .cannotWrite, "exists already: choose another name, or replace it with --force."
        )
        .inFile(path)
      }
    }
    self.path = path
    self.replacing = replacing
    folder = path.lastIndex(of: "/").map { String(path[...$0]) } ?? "./"
    if let nameless = OutputFile.createNameless(in: folder) {
      descriptor = nameless
      temporaryPath = nil
    } else {
      let temporaryPath = OutputFile.temporaryPath(in: folder)
      descriptor = unsafe open(temporaryPath, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
      guard descriptor >= 0 else {
        throw CheckpointError(.cannotWrite, "can't be created: \(systemMessage(errno)).").inFile(path)
      }
      self.temporaryPath = temporaryPath
    }
  }

  /// Whether there is anything at `path`.
  package static func exists(_ path: String) -> Bool {
    var status = stat()
    return unsafe stat(path, &status) == 0
  }

  /// Whether two paths lead to one file.
  package static func isSame(_ a: String, _ b: String) -> Bool {
    var (first, second) = (stat(), stat())
    return unsafe stat(a, &first) == 0 && stat(b, &second) == 0 && first.st_dev == second.st_dev
      && first.st_ino == second.st_ino
  }

  /// A file without a name, which the system removes when it is closed; nil where there are none.
  private static func createNameless(in folder: String) -> CInt? {
    #if os(Linux)
      // O_TMPFILE of <fcntl.h>, a macro that Swift does not import
      let nameless = 0o20_000_000 | O_DIRECTORY
      let descriptor = unsafe open(folder, nameless | O_RDWR | O_CLOEXEC, 0o666)
      guard descriptor >= 0 else { return nil }
      // It gets its name through /proc, which some jails lack.
      if unsafe access(procPath(descriptor), R_OK) == 0 { return descriptor }
      close(descriptor)
    #endif
    return nil
  }

  private static func procPath(_ descriptor: CInt) -> String { "/proc/self/fd/\(descriptor)" }

  private static func temporaryPath(in folder: String) -> String {
    folder + ".rsw-" + String(UInt64.random(in: 0 ... .max), radix: 36)
  }

  /// Where the file can be opened before it is complete.
  package var readablePath: String { temporaryPath ?? OutputFile.procPath(descriptor) }

  /// Where a link leads, so that the link stays; any other path as it is.
  private static func target(_ path: String) throws(CheckpointError) -> String {
    var status = stat()
    guard unsafe lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFLNK else { return path }
    // A link to a pipe, such as /dev/stdout, leads to no path.
    if unsafe stat(path, &status) == 0, status.st_mode & S_IFMT != S_IFREG { return path }
    guard let resolved = unsafe realpath(path, nil) else {
      throw CheckpointError(.cannotWrite, "is a link that leads nowhere: \(systemMessage(errno)).").inFile(
        path)
    }
    defer { unsafe free(resolved) }
    return unsafe String(cString: resolved)
  }

  /// Takes room for the first `count` bytes on the disk, where the system can do that before they are written: on ext4,
  /// writing 100 MB then took 31 ms instead of 41.
  ///
  /// - Throws: `.cannotWrite` when there is not so much.
  func reserve(_ count: Int) throws(CheckpointError) {
    #if os(Linux)
      var result: CInt = 0
      if count > 0 {
        repeat { result = fallocate(descriptor, 0, 0, count) } while result < 0 && errno == EINTR
      }
      // What else goes wrong has to do with file systems that can't, and shows when the file is written.
      guard result == 0 || ![ENOSPC, EDQUOT, EFBIG].contains(errno) else {
        throw CheckpointError(.cannotWrite, "can't be written: \(systemMessage(errno)).").inFile(path)
      }
    #endif
  }

  /// Writes all of `bytes` at `offset`. May be called from several threads.
  package func write(_ bytes: Bytes, at offset: Int) throws(CheckpointError) {
    try unsafe bytes.withUnsafeBytes { buffer throws(CheckpointError) in
      try unsafe write(buffer, at: offset)
    }
  }

  /// Writes all of `bytes` at `offset`. May be called from several threads.
  func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(CheckpointError) {
    var written = 0
    while written < bytes.count {
      let result = unsafe pwrite(
        descriptor, bytes.baseAddress.map { unsafe $0 + written }, bytes.count - written,
        off_t(offset + written))
      if result < 0 && errno == EINTR { continue }
      guard result > 0 else {
        throw CheckpointError(.cannotWrite, "can't be written: \(systemMessage(errno)).").inFile(path)
      }
      written += result
    }
  }

  /// The first `count` bytes of the file, of which only those may be looked at that were written.
  func written(_ count: Int) throws(CheckpointError) -> Bytes {
    do throws(CheckpointError) {
      return try Bytes(mappingUnfinished: descriptor, count: count)
    } catch {
      throw error.inFile(path)
    }
  }

  /// Waits until what was written is on the disk.
  func synchronize() throws(CheckpointError) {
    guard fsync(descriptor) == 0 else {
      throw CheckpointError(.cannotWrite, "can't be brought to the disk: \(systemMessage(errno)).").inFile(
        path)
    }
  }

  /// Gives the file its name.
  ///
  /// - Parameter synchronizing: whether to wait until the name is on the disk.
  package func commit(synchronizing: Bool = false) throws(CheckpointError) {
    guard giveName() else {
      throw CheckpointError(.cannotWrite, "can't be completed: \(systemMessage(errno)).").inFile(path)
    }
    close(descriptor)
    guard synchronizing else { return }
    let folder = unsafe open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    defer { close(folder) }
    guard folder >= 0, fsync(folder) == 0 else {
      throw CheckpointError(
        .cannotWrite, "is written, but its folder can't be brought to the disk: \(systemMessage(errno))."
      )
      .inFile(path)
    }
  }

  /// The error of a file that does not hold what was written to it.
  static let failure = CheckpointError(
    .cannotWrite, "was not written as it should be: the disk may be failing. Try another one.")

  private func giveName() -> Bool {
    if let temporaryPath { return unsafe rename(temporaryPath, path) == 0 }
    // A new link never replaces a file: only a name of its own can be moved over another.
    guard replacing else { return attach(as: path) }
    let name = OutputFile.temporaryPath(in: folder)
    guard attach(as: name) else { return false }
    if unsafe rename(name, path) == 0 { return true }
    let reason = errno
    unsafe unlink(name)
    errno = reason
    return false
  }

  /// Gives a file without a name one that is free.
  private func attach(as name: String) -> Bool {
    unsafe linkat(AT_FDCWD, OutputFile.procPath(descriptor), AT_FDCWD, name, AT_SYMLINK_FOLLOW) == 0
  }

  /// Removes what was written.
  package func discard() {
    close(descriptor)
    if let temporaryPath { unsafe unlink(temporaryPath) }
  }
}
