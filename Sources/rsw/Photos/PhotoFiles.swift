// Which images are meant: files, folders and patterns.

import Checkpoints

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

enum PhotoFiles {
  private static let suffixes = ["jpg", "jpeg", "jpe", "jfif", "png"]

  /// The paths of the images that arguments mean, in their order: a file is itself, whatever its name; a folder is all
  /// files in it and its folders that are called as images are, sorted by name; and a pattern that no file is called is
  /// what it matches.
  static func paths(_ arguments: [String]) -> [String] {
    arguments.flatMap { argument -> [String] in
      if isFolder(argument) { return images(under: argument) }
      guard !exists(argument), argument.contains(where: { "*?[".contains($0) }) else { return [argument] }
      let matches = matches(argument)
      return matches.isEmpty ? [argument] : matches.flatMap { isFolder($0) ? images(under: $0) : [$0] }
    }
  }

  private static func status(_ path: String) -> stat? {
    var status = stat()
    return stat(path, &status) == 0 ? status : nil
  }

  private static func exists(_ path: String) -> Bool { status(path) != nil }

  private static func isFolder(_ path: String) -> Bool {
    status(path).map { $0.st_mode & S_IFMT == S_IFDIR } ?? false
  }

  private static func matches(_ pattern: String) -> [String] {
    var found = glob_t()
    defer { globfree(&found) }
    guard glob(pattern, 0, nil, &found) == 0 else { return [] }
    return (0..<Int(found.gl_pathc)).compactMap { found.gl_pathv[$0].map { String(cString: $0) } }
  }

  /// The images in a folder and its folders, to a depth that no collection has: links may lead in circles.
  private static func images(under folder: String, depth: Int = 0) -> [String] {
    guard depth < 32, let stream = opendir(folder) else { return [] }
    defer { closedir(stream) }
    var names: [String] = []
    while let entry = readdir(stream) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) { name in
        name.withMemoryRebound(to: CChar.self, capacity: MemoryLayout.size(ofValue: name.pointee)) {
          String(cString: $0)
        }
      }
      if !name.hasPrefix(".") { names.append(name) }
    }
    let start = folder.hasSuffix("/") ? folder : folder + "/"
    return names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }.flatMap { name -> [String] in
      let path = start + name
      if isFolder(path) { return images(under: path, depth: depth + 1) }
      let suffix = name.split(separator: ".").dropFirst().last?.lowercased() ?? ""
      return suffixes.contains(suffix) ? [path] : []
    }
  }
}
