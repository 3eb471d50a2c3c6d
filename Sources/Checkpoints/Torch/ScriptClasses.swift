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

  /// The record with the code of the class `name`, and what the class is called in it.
  func place(of name: String) -> (record: ZipRecord, className: String)? {
    let parts = name.split(separator: ".").map(String.init)
    guard let className = parts.last,
      let record = archive?[folder + "code/" + parts.dropLast().joined(separator: "/") + ".py"]
    else { return nil }
    return (record, className)
  }

  /// The attributes of each class in `code` that are parameters and buffers.
  static func tensorAttributes(in code: Bytes) -> [String: Set<String>] {
    var classes: [String: Set<String>] = [:]
    var current: String?
    let text = code.array
    var position = 0
    while position < text.count {
      let end = text[position...].firstIndex(of: UInt8(ascii: "\n")) ?? text.count
      let line = text[position..<end]
      position = end + 1
      if let first = line.first, first != UInt8(ascii: " ") {
        current = nil
        guard line.starts(with: "class ".utf8), let bracket = line.firstIndex(of: UInt8(ascii: "(")) else {
          continue
        }
        let name = String(decoding: line[..<bracket].dropFirst("class ".utf8.count), as: UTF8.self)
        guard classes[name] == nil else { continue }
        classes[name] = []
        current = name
      } else if let current {
        let declaration = line.drop { $0 == UInt8(ascii: " ") }
        guard
          ["__parameters__ = [", "__buffers__ = ["].contains(where: { declaration.starts(with: $0.utf8) })
        else { continue }
        // Every other piece between quotes is a name.
        for (index, piece) in declaration.split(
          separator: UInt8(ascii: "\""), omittingEmptySubsequences: false
        ).enumerated() where !index.isMultiple(of: 2) {
          classes[current]?.insert(String(decoding: piece, as: UTF8.self))
        }
      }
    }
    return classes
  }
}
