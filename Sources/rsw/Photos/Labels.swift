// What a model's classes are called.

import Checkpoints

/// The names of a model's classes, by number.
struct Labels {
  private let names: [String]

  /// Whether classes have none.
  var isEmpty: Bool { names.isEmpty }

  /// The name of a class; nil where classes have none.
  subscript(index: Int) -> String? { names.indices.contains(index) ? names[index] : nil }

  /// The labels of a model: those of `file`, else those in its metadata, else ImageNet's where there are as many classes.
  ///
  /// - Throws: when there are more or fewer labels than classes, or they can't be understood.
  init(for checkpoint: Checkpoint, classes: Int, file: String?) throws {
    if let file {
      names = try concerning(file) { try Labels.names(in: Bytes(mapping: file), classes: classes) }
    } else if let text = checkpoint.metadata.first(where: { $0.name == "labels" })?.value {
      names = try concerning(checkpoint.path) {
        do {
          return try Labels.names(in: Bytes(Array(text.utf8)), classes: classes)
        } catch let error as CheckpointError {
          throw CheckpointError(error.code, "\"labels\" in its metadata \(error.message)")
        }
      }
    } else {
      names = classes == Labels.imageNet.count ? Labels.imageNet : []
    }
  }

  /// ImageNet's 1,000 classes, as torchvision calls them.
  static let imageNet = lines(Bytes(PackageResources.imagenet_labels_txt))

  /// Labels longer than this are no labels.
  private static let longest = 1 << 24

  /// The labels in a text: one a line, a JSON array, or a JSON object from number to label. A label that is an array
  /// itself, as in Keras's `imagenet_class_index.json`, ends with the name.
  private static func names(in text: Bytes, classes: Int) throws(CheckpointError) -> [String] {
    guard text.count <= longest else {
      throw CheckpointError(.limitExceeded, "has \(text.count) bytes; labels have at most \(longest).")
    }
    let start = text.array.first { !" \t\r\n".utf8.contains($0) }
    let names =
      start == UInt8(ascii: "[") || start == UInt8(ascii: "{")
      ? try names(in: JSON(parsing: text)) : lines(text)
    guard names.count == classes else {
      throw CheckpointError(
        .malformed,
        "has \(names.count) label\(names.count == 1 ? "" : "s"), but the model has \(classes) classes: one label a line, or a JSON array."
      )
    }
    return names
  }

  private static func names(in json: JSON) throws(CheckpointError) -> [String] {
    let notLabels = CheckpointError(
      .malformed, "is JSON, but neither an array of labels nor an object from numbers to labels.")
    func name(_ json: JSON?) throws(CheckpointError) -> String {
      guard let name = json?.string ?? json?.array?.last?.string else { throw notLabels }
      return name
    }
    if let array = json.array {
      var names: [String] = []
      for element in array { names.append(try name(element)) }
      return names
    }
    let members = json.object ?? []
    var names = [String?](repeating: nil, count: members.count)
    for member in members {
      guard let index = Int(member.name), names.indices.contains(index), names[index] == nil else {
        throw notLabels
      }
      names[index] = try name(member.value)
    }
    return names.compactMap { $0 }
  }

  private static func lines(_ text: Bytes) -> [String] {
    var lines = String(decoding: text.array, as: UTF8.self)
      .split(omittingEmptySubsequences: false) { $0.isNewline }.map(String.init)
    while lines.last?.isEmpty == true { lines.removeLast() }
    return lines
  }
}
