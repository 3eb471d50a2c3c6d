// Where PyTorch keeps what it downloads, found as torch.hub finds it.

import Checkpoints

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// The value of a variable of the environment; nil where it is empty too.
func environment(_ name: String) -> String? {
  getenv(name).map { String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 }
}

enum CacheFolder {
  /// `$TORCH_HOME/hub/checkpoints`, where TORCH_HOME is `$XDG_CACHE_HOME/torch` or `~/.cache/torch` if it isn't set.
  static func standard() throws(FetchError) -> String {
    if let torch = environment("TORCH_HOME") { return try expanded(torch) + "/hub/checkpoints" }
    if let caches = environment("XDG_CACHE_HOME") { return try expanded(caches) + "/torch/hub/checkpoints" }
    return try expanded("~") + "/.cache/torch/hub/checkpoints"
  }

  /// `path` with a leading `~` replaced by the home folder.
  private static func expanded(_ path: String) throws(FetchError) -> String {
    guard path == "~" || path.hasPrefix("~/") else { return path }
    guard let home = environment("HOME") ?? homeOfUser() else {
      throw FetchError(
        .cannotWrite,
        "there is no home folder to keep the file in: set TORCH_HOME to a folder that can be written.")
    }
    return home + path.dropFirst()
  }

  private static func homeOfUser() -> String? {
    guard let folder = getpwuid(getuid())?.pointee.pw_dir else { return nil }
    let path = String(cString: folder)
    return path.isEmpty ? nil : path
  }

  /// Makes the folder and those that it lies in.
  static func create(_ folder: String) throws(FetchError) {
    var slash = folder.startIndex
    while slash < folder.endIndex {
      slash = folder[folder.index(after: slash)...].firstIndex(of: "/") ?? folder.endIndex
      let part = String(folder[..<slash])
      if mkdir(part, 0o777) == 0 || errno == EEXIST { continue }
      let reason = errno
      var status = stat()
      // A folder above may be there but not ours to write.
      if stat(part, &status) == 0 { continue }
      throw cannotWrite(folder, "can't be made", reason)
    }
  }

  /// How many bytes there is room for; nil where the system doesn't say.
  static func room(in folder: String) -> Int? {
    var status = statvfs()
    guard statvfs(folder, &status) == 0 else { return nil }
    let (bytes, overflow) = UInt64(status.f_bavail).multipliedReportingOverflow(by: UInt64(status.f_frsize))
    return overflow ? nil : Int(clamping: bytes)
  }

  static func cannotWrite(_ path: String, _ what: String, _ reason: CInt) -> FetchError {
    FetchError(
      .cannotWrite,
      "\(printable(path)) \(what): \(systemMessage(reason)). Set TORCH_HOME to a folder that can be written.")
  }
}
