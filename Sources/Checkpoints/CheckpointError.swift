// The one error that reading or writing weights can throw: what kind it is, a sentence for people,
// and the place.

/// What went wrong with a file of weights, and where.
///
/// `description` is one sentence for people: it names the file, the record, tensor or byte
/// offset, says the fact, then what to do.
public struct CheckpointError: Error, Sendable, CustomStringConvertible {
  /// The broad kind of a ``CheckpointError``; more may be added.
  public struct Code: Hashable, Sendable, CustomStringConvertible {
    /// The code's name, such as `truncated`.
    public let description: String

    /// The file does not exist or can't be opened or read.
    public static let cannotRead = Code(description: "cannotRead")
    /// The file is no checkpoint that this library knows.
    public static let notACheckpoint = Code(description: "notACheckpoint")
    /// The file ends before its content does.
    public static let truncated = Code(description: "truncated")
    /// The file breaks the rules of its format.
    public static let malformed = Code(description: "malformed")
    /// The file is valid but uses something that this library does not read.
    public static let unsupported = Code(description: "unsupported")
    /// A count or size is larger than ``Limits`` or the file's own content justifies.
    public static let limitExceeded = Code(description: "limitExceeded")
    /// A record that the file refers to is not in it.
    public static let missingRecord = Code(description: "missingRecord")
    /// The bytes of a record do not have the checksum that was recorded for them.
    public static let checksumMismatch = Code(description: "checksumMismatch")
    /// A tensor needs elements that lie outside its storage.
    public static let outsideStorage = Code(description: "outsideStorage")
    /// There is no state dict where one was asked for.
    public static let noStateDict = Code(description: "noStateDict")
    /// There is no tensor of the name that was asked for.
    public static let noTensor = Code(description: "noTensor")
    /// There are several state dicts, and nothing says which one is meant.
    public static let ambiguous = Code(description: "ambiguous")
    /// The target format, or Float, can't hold this.
    public static let notRepresentable = Code(description: "notRepresentable")
    /// The tensor has a shape but no elements, as those of PyTorch's meta device.
    public static let noElements = Code(description: "noElements")
    /// The output can't be created or written.
    public static let cannotWrite = Code(description: "cannotWrite")
  }

  /// The broad kind.
  public let code: Code
  /// The fact and the way out, without the place.
  public let message: String
  /// The file's path, when a file is concerned.
  public var file: String?
  /// The archive record, such as `archive/data/17`.
  public var record: String?
  /// The tensor's name in its state dict.
  public var key: String?
  /// The byte offset in the file or record.
  public var offset: Int?

  package init(
    _ code: Code, _ message: String, record: String? = nil, key: String? = nil, offset: Int? = nil
  ) {
    self.code = code
    self.message = message
    self.record = record
    self.key = key
    self.offset = offset
  }

  public var description: String {
    var places: [String] = []
    if let record { places.append("record \(quoted(record))") }
    if let key { places.append("tensor \(quoted(key))") }
    if let offset { places.append("byte \(offset)") }
    let place = places.isEmpty ? "" : places.joined(separator: ", ") + ": "
    // An empty name can be seen in quotes only.
    return (file.map { ($0.isEmpty ? quoted($0) : printable($0)) + ": " } ?? "") + place + message
  }

  /// The same error with the file it concerns.
  package func inFile(_ path: String) -> CheckpointError {
    var error = self
    error.file = error.file ?? path
    return error
  }

  /// The same error with the record it concerns.
  package func inRecord(_ name: String) -> CheckpointError {
    var error = self
    error.record = error.record ?? name
    return error
  }

  /// The same error with the tensor it concerns.
  package func forTensor(_ name: String) -> CheckpointError {
    var error = self
    error.key = error.key ?? name
    return error
  }
}

/// `text` in double quotes, fit for a message: control characters escaped, very long texts cut.
package func quoted(_ text: String) -> String {
  "\"" + printable(text) + "\""
}

/// `text` fit for one line of a terminal: control characters escaped, very long texts cut.
package func printable(_ text: String, longest: Int = 200) -> String {
  // Nearly every name is plain ASCII, and categories take time.
  if text.utf8.count <= longest, text.utf8.allSatisfy({ (0x20..<0x7F).contains($0) }) { return text }
  var result = ""
  var length = 0
  for scalar in text.unicodeScalars {
    if length == longest { return result + "…" }
    length += 1
    switch scalar.properties.generalCategory {
    case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .privateUse, .unassigned:
      result += "\\u{\(String(scalar.value, radix: 16))}"
    default: result.unicodeScalars.append(scalar)
    }
  }
  return result
}
