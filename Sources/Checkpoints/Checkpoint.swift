// A file of weights, whatever its format: recognised by its bytes, mapped, and opened without
// reading a tensor.

#if canImport(FoundationEssentials)
  public import FoundationEssentials
#else
  public import Foundation
#endif

/// An open file of weights.
///
/// ```swift
/// let checkpoint = try Checkpoint(contentsOf: url)
/// let stateDict = try checkpoint.stateDict()
/// ```
///
/// Opening reads the structure only; a tensor's bytes are touched when they are asked for.
public struct Checkpoint: Sendable {
  /// The format of a file.
  public enum Container: String, Sendable {
    /// The zip archive that torch ≥ 1.6 writes.
    case torchZip = "torch zip"
    /// The stream that torch before 1.6 writes.
    case torchLegacy = "torch legacy stream"
    /// https://github.com/huggingface/safetensors
    case safetensors
    /// A safetensors file with what `docs/rsw-format.md` adds.
    case rsw
  }

  /// The file's path, as given.
  public let path: String
  /// The format, recognised by content.
  public let container: Container
  /// The file's size in bytes.
  public let byteCount: Int
  /// The metadata of a safetensors or rsw file, in file order.
  public let metadata: [(name: String, value: String)]

  private let content: Content
  private let limits: Limits

  private enum Content: Sendable {
    case torch(TorchPickle, ZipArchive?)
    case plain(StateDict)
  }

  /// Opens the file at `url`.
  ///
  /// - Throws: `.cannotRead`, `.notACheckpoint`, or what is wrong with the file's structure.
  public init(contentsOf url: URL, limits: Limits = Limits()) throws(CheckpointError) {
    try self.init(path: url.path, limits: limits)
  }

  /// Opens the file at `path`.
  ///
  /// - Throws: `.cannotRead`, `.notACheckpoint`, or what is wrong with the file's structure.
  public init(path: String, limits: Limits = Limits()) throws(CheckpointError) {
    do throws(CheckpointError) {
      let file = try Bytes(mapping: path)
      self.path = path
      self.limits = limits
      byteCount = file.count
      switch try Checkpoint.format(of: file) {
      case .zip:
        container = .torchZip
        metadata = []
        let zip = try TorchZip(file, limits: limits)
        content = .torch(zip.pickle, zip.archive)
      case .legacy:
        container = .torchLegacy
        metadata = []
        content = .torch(try TorchLegacy(file, limits: limits).pickle, nil)
      case .safetensors:
        let safetensors = try SafetensorsFile(file, limits: limits)
        let rsw = RSWMetadata(safetensors.metadata)
        try rsw?.checkVersion()
        container = rsw == nil ? .safetensors : .rsw
        metadata = safetensors.metadata
        content = .plain(safetensors.stateDict)
      }
    } catch {
      throw error.inFile(path)
    }
  }

  /// The state dict: the one under `key` or, without a key, the one that is plainly meant.
  ///
  /// Training scripts wrap the weights: `state_dict`, `model_state_dict`, `model`, `net` and
  /// `params` are looked into. Averaged (EMA) weights are taken when asked for, or when the file
  /// holds nothing else.
  ///
  /// - Parameter key: the entry's name, or a dotted path of names.
  /// - Throws: `.noStateDict`, `.ambiguous` with the names to choose from, or what is wrong with a tensor.
  public func stateDict(key: String? = nil) throws(CheckpointError) -> StateDict {
    do throws(CheckpointError) {
      switch content {
      case .torch(let pickle, _):
        var search = StateDictSearch(pickle, limits: limits)
        return try search.stateDict(at: key)
      case .plain(let stateDict):
        guard key == nil else {
          throw CheckpointError(.noStateDict, "is one state dict, so there is no key to choose.")
        }
        return stateDict
      }
    } catch {
      throw error.inFile(path)
    }
  }

  /// The dotted paths of all state dicts in the file, in file order; the root's is empty.
  public var stateDictKeys: [String] {
    switch content {
    case .torch(let pickle, _): StateDictSearch(pickle, limits: limits).candidates()
    case .plain: [""]
    }
  }

  /// The pickle protocol, for files that hold one.
  public var pickleProtocol: Int? {
    if case .torch(let pickle, _) = content { return pickle.heap.protocolVersion }
    return nil
  }

  /// Reads every byte and holds it against the checksums that the file records.
  ///
  /// - Throws: `.checksumMismatch` for the first damaged record, `.malformed` for one that can't be read.
  public func verifyChecksums() throws(CheckpointError) {
    do throws(CheckpointError) {
      switch content {
      case .torch(_, let archive):
        guard let archive else { return }  // a stream records no checksums
        try inParallel(archive.records.count) { index throws(CheckpointError) in
          _ = try archive.records[index].verifiedChecksum()
        }
      case .plain(let stateDict):
        try RSWMetadata(metadata)?.verifyChecksums(of: stateDict)
      }
    } catch {
      throw error.inFile(path)
    }
  }

  // MARK: Recognition

  private enum Format { case zip, legacy, safetensors }

  private static func format(of file: Bytes) throws(CheckpointError) -> Format {
    // An archive may have anything before it, so its end counts too.
    if file.hasPrefix("PK\u{3}\u{4}") || file.hasPrefix("PK\u{5}\u{6}") { return .zip }
    if SafetensorsFile.recognizes(file) { return .safetensors }
    if TorchLegacy.recognizes(file) { return .legacy }
    if ZipArchive.recognizes(file) { return .zip }
    throw CheckpointError(.notACheckpoint, "is \(description(of: file)).")
  }

  /// What a file is that is no checkpoint, and what to do about it.
  private static func description(of file: Bytes) -> String {
    if file.count == 0 { return "empty: get the file again" }
    if file.hasPrefix("version https://git-lfs") {
      return "a Git LFS pointer, not the weights themselves: fetch them with 'git lfs pull'"
    }
    let start = (file.slice(0, min(file.count, 512))?.array ?? []).drop { $0 <= 0x20 || $0 >= 0x80 }
    let text = String(decoding: start, as: UTF8.self).lowercased()
    if text.hasPrefix("<!doctype") || text.hasPrefix("<html") || text.hasPrefix("<?xml") {
      return "a web page, not the weights: the download failed. Get the file again"
    }
    if file.hasPrefix("\u{1f}") && file.load(UInt8.self, at: 1) == 0x8B {
      return "compressed with gzip: unpack it first"
    }
    if file.load(UInt8.self, at: 0) == 0x80 {
      return "a plain pickle, which torch.save did not write: load it in Python and save it with torch.save"
    }
    return "no checkpoint that rsw knows (it reads PyTorch's formats, safetensors and rsw)"
  }
}
