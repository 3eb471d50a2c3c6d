// A file that appears under its name only when it is complete: written beside its place under a
// temporary name, then renamed.

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
  package let temporaryPath: String
  private let descriptor: CInt

  /// Creates the temporary file in the folder of `path`.
  ///
  /// - Throws: `.cannotWrite` when there is no such folder, no permission, or already a file that
  ///   may not be replaced.
  package init(_ path: String, replacing: Bool) throws(CheckpointError) {
    let path = try OutputFile.target(path)
    var status = stat()
    if unsafe stat(path, &status) == 0 {
      guard status.st_mode & S_IFMT == S_IFREG else {
        let kind = status.st_mode & S_IFMT == S_IFDIR ? "a folder" : "no regular file"
        throw CheckpointError(.cannotWrite, "is \(kind): name a file.").inFile(path)
      }
      guard replacing else {
        throw CheckpointError(
          .cannotWrite, "exists already: choose another name, or replace it with --force."
        )
        .inFile(path)
      }
    }
    var template = Array((path + ".tmp-XXXXXX").utf8CString)
    descriptor = unsafe template.withUnsafeMutableBufferPointer { name in
      guard let name = name.baseAddress else { return -1 }
      return unsafe mkstemp(name)
    }
    guard descriptor >= 0 else {
      throw CheckpointError(.cannotWrite, "can't be created: \(systemMessage(errno)).").inFile(path)
    }
    self.path = path
    temporaryPath = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    // mkstemp lets only the owner in; an ordinary file has what the user's mask leaves.
    let mask = umask(0)
    umask(mask)
    fchmod(descriptor, 0o666 & ~mask)
  }

  /// Where a link leads, so that the link stays; any other path as it is.
  private static func target(_ path: String) throws(CheckpointError) -> String {
    var status = stat()
    guard unsafe lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFLNK else { return path }
    guard let resolved = unsafe realpath(path, nil) else {
      throw CheckpointError(.cannotWrite, "is a link that leads nowhere: \(systemMessage(errno)).").inFile(
        path)
    }
    defer { unsafe free(resolved) }
    return unsafe String(cString: resolved)
  }

  /// Writes all of `bytes` at `offset`. May be called from several threads.
  package func write(_ bytes: Bytes, at offset: Int) throws(CheckpointError) {
    var written = 0
    while written < bytes.count {
      let result = unsafe bytes.withUnsafeBytes { buffer in
        unsafe pwrite(
          descriptor, buffer.baseAddress.map { unsafe $0 + written }, buffer.count - written,
          off_t(offset + written))
      }
      if result < 0 && errno == EINTR { continue }
      guard result > 0 else {
        throw CheckpointError(.cannotWrite, "can't be written: \(systemMessage(errno)).").inFile(path)
      }
      written += result
    }
  }

  /// Gives the file its name.
  package func commit() throws(CheckpointError) {
    guard close(descriptor) == 0, unsafe rename(temporaryPath, path) == 0 else {
      throw CheckpointError(.cannotWrite, "can't be completed: \(systemMessage(errno)).").inFile(path)
    }
  }

  /// Removes what was written.
  package func discard() {
    close(descriptor)
    unsafe unlink(temporaryPath)
  }
}
