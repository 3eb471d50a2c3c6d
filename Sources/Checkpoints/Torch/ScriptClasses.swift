// What the code in a TorchScript archive says of its classes. The code itself is never run; only
// two lines of each class are looked at:
//
//   class Conv2d(Module):
//     __parameters__ = ["weight", "bias", ]
//     __buffers__ = []
//
// The class `__torch__.a.b.Conv2d` stands in the record `code/__torch__/a/b.py`.

/// The names of the parameters and buffers of each class of a TorchScript archive.
struct ScriptClasses: Sendable {
  private let archive: ZipArchive?
  private let folder: String

  /// Of a file that is no TorchScript archive.
  init() {
    archive = nil
    folder = ""
  }

  init(_ archive: ZipArchive, folder: String) {
    self.archive = archive
    self.folder = folder
  }

  /// Whether `name` is that of a class that TorchScript compiled.
  static func contains(_ name: String) -> Bool { name.utf8.starts(with: "__torch__.".utf8) }

  /// The attributes of the class that are parameters and buffers; nil when the archive does not say.
  func tensorAttributes(of name: String) -> Set<String>? {
    let parts = name.split(separator: ".").map(String.init)
    let record = folder + "code/" + parts.dropLast().joined(separator: "/") + ".py"
    guard let className = parts.last, let code = try? archive?[record]?.pickleBytes().utf8 else { return nil }
    let lines = code.split(separator: "\n", omittingEmptySubsequences: false)
    guard let start = lines.firstIndex(where: { $0.hasPrefix("class \(className)(") }) else { return nil }
    var attributes: Set<String> = []
    for line in lines[(start + 1)...] {
      if line.first.map({ $0 != " " }) ?? false { break }  // the next class
      guard line.contains("__parameters__ = [") || line.contains("__buffers__ = [") else { continue }
      // Every other piece between quotes is a name.
      for (index, piece) in line.split(separator: "\"", omittingEmptySubsequences: false).enumerated()
      where !index.isMultiple(of: 2) {
        attributes.insert(String(piece))
      }
    }
    return attributes
  }
}
