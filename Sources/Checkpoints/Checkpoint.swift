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
/// Opening reads the structure only; a tensor's bytes are touched when they are asked for. The file
/// stays mapped while anything read from it is in use: replace it by renaming another one over it,
/// never by writing into it or cutting it short.
public struct Checkpoint: Sendable {
  /// The format of a file.
  public enum Container: String, Sendable {
    /// The zip archive that torch ≥ 1.6 writes.
    case torchZip = "torch zip"
    /// The zip archive that TorchScript writes, with code beside the weights.
    case torchScript = "TorchScript zip"
    /// The zip archive that torch.export writes (`.pt2`), with a program beside the weights.
    case torchExport = "torch export"
    /// The stream that torch before 1.6 writes.
    case torchLegacy = "torch legacy stream"
    /// The tar archive that torch before 0.1.12 wrote.
    case torchTar = "torch tar"
    /// A pickle that torch.save did not write, as of NumPy arrays.
    case pickle
    /// https://github.com/huggingface/safetensors
    case safetensors
    /// A safetensors file with what `docs/rsw-format.md` adds.
    case rsw
    /// JSON that names the files that tensors lie in.
    case shardedIndex = "sharded index"
    /// A zip archive of NumPy arrays.
    case npz
    /// A NumPy array.
    case npy
  }

  /// The file's path, as given.
  public let path: String
  /// The member of the zip archive at ``path`` that was opened, if one was asked for.
  public let member: String?
  /// The format, recognised by content.
  public let container: Container
  /// The size in bytes of the file, or of its member.
  public let byteCount: Int
  /// The metadata of a safetensors or rsw file, in file order.
  public let metadata: [(name: String, value: String)]

  let content: Content
  let limits: Limits
  /// The whole file, of which the checkpoint may be a member.
  let file: Bytes

  /// What was found in a file.
  enum Content: Sendable {
    /// One or more pickles, and the archive that their storages lie in.
    case pickles([TorchPickle], ZipArchive?)
    /// Tensors that need no search, and the archive that they lie in.
    case tensors(StateDict, ZipArchive?)
    case shards(StateDict, [Checkpoint])
  }

  /// Opens the file at `url`.
  ///
  /// - Parameter member: the member of a zip archive that is the checkpoint, where the archive is none itself.
  /// - Throws: `.cannotRead`, `.notACheckpoint`, or what is wrong with the file's structure.
  public init(
    contentsOf url: URL, member: String? = nil, limits: Limits = Limits()
  ) throws(CheckpointError) {
    try self.init(path: url.path, member: member, limits: limits)
  }

  /// Opens the file at `path`.
  ///
  /// - Parameter member: the member of a zip archive that is the checkpoint, where the archive is none itself.
  /// - Throws: `.cannotRead`, `.notACheckpoint`, or what is wrong with the file's structure.
  public init(path: String, member: String? = nil, limits: Limits = Limits()) throws(CheckpointError) {
    try self.init(Bytes(mapping: path), path: path, member: member, limits: limits)
  }

  /// Opens a file whose bytes are at hand; `path` names it in errors, and its folder holds the shards
  /// that an index names.
  ///
  /// - Throws: `.notACheckpoint`, or what is wrong with the structure.
  public init(
    _ bytes: Bytes, path: String, member: String? = nil, limits: Limits = Limits()
  ) throws(CheckpointError) {
    try self.init(bytes, path: path, member: member, isShard: false, limits)
  }

  private init(
    _ bytes: Bytes, path: String, member: String?, isShard: Bool, _ limits: Limits
  ) throws(CheckpointError) {
    self.path = path
    self.member = member
    self.limits = limits
    file = bytes
    do throws(CheckpointError) {
      var content = bytes
      if let member { content = try ZipMembers.member(member, of: bytes, limits: limits) }
      byteCount = content.count
      (container, self.content, metadata) = try Checkpoint.open(
        content, path: path, isWhole: member == nil && !isShard, limits)
    } catch {
      throw error.inFile(path)
    }
  }

  private typealias Opened = (Container, Content, [(name: String, value: String)])

  private static func open(
    _ file: Bytes, path: String, isWhole: Bool, _ limits: Limits
  ) throws(CheckpointError) -> Opened {
    switch try FileFormat(of: file, limits: limits) {
    case .zip: return try openZip(file, limits)
    case .legacy: return (.torchLegacy, .pickles([try TorchLegacy(file, limits: limits).pickle], nil), [])
    case .tar:
      let archive = try TarArchive(file, limits: limits)
      guard TorchTar.recognizes(archive) else {
        throw CheckpointError(
          .notACheckpoint,
          "is a tar archive, but not one that torch wrote: unpack it, and name a file of its content.")
      }
      return (.torchTar, .pickles([try TorchTar(archive, limits: limits).pickle], nil), [])
    case .pickle:
      let heap = try PickleMachine.run(file, limits: limits).heap
      return (.pickle, .pickles([TorchPickle(plain: heap)], nil), [])
    case .safetensors:
      let safetensors = try SafetensorsFile(file, limits: limits)
      let rsw = RSWMetadata(safetensors.metadata)
      try rsw?.checkVersion()
      return (rsw == nil ? .safetensors : .rsw, .tensors(safetensors.stateDict, nil), safetensors.metadata)
    case .npy:
      var stateDict = StateDict()
      try stateDict.append(StateDictSearch.loneTensorName, NPY.read(file, limits))
      return (.npy, .tensors(stateDict, nil), [])
    case .index:
      guard isWhole else {
        throw CheckpointError(
          .unsupported,
          "is the index of several files, and lies in an archive or is named by another index. Open it itself."
        )
      }
      return try openShards(file, path: path, limits)
    }
  }

  private static func openZip(_ file: Bytes, _ limits: Limits) throws(CheckpointError) -> Opened {
    let archive = try ZipArchive(file, limits: limits)
    if TorchZip.recognizes(archive) {
      let zip = try TorchZip(archive, fileSize: file.count, limits: limits)
      return (zip.isScript ? .torchScript : .torchZip, .pickles(zip.pickles, archive), [])
    }
    if let top = TorchExport.folder(archive) {
      return (.torchExport, .tensors(try TorchExport.read(archive, top, limits: limits), archive), [])
    }
    if NPZ.recognizes(archive, limits: limits) {
      return (.npz, .tensors(try NPZ.read(archive, limits: limits), archive), [])
    }
    throw ZipMembers.notACheckpoint(archive, limits: limits)
  }

  private static func openShards(
    _ file: Bytes, path: String, _ limits: Limits
  ) throws(CheckpointError) -> Opened {
    let index = try ShardIndex(file, limits: limits)
    let folder = path.lastIndex(of: "/").map { String(path[...$0]) } ?? ""
    var shards: [Checkpoint] = []
    var stateDicts: [CodeUnitKey: StateDict] = [:]
    for name in index.files {
      let path = folder + name
      let shard = try Checkpoint(Bytes(mapping: path), path: path, member: nil, isShard: true, limits)
      stateDicts[CodeUnitKey(name)] = try shard.stateDict()
      shards.append(shard)
    }
    // What a file of weights says of itself is in each of its shards.
    return (.shardedIndex, .shards(try index.stateDict(of: stateDicts), shards), shards.first?.metadata ?? [])
  }

  // MARK: State dicts

  /// The state dict: the one under `key` or, without a key, the one that is plainly meant.
  ///
  /// Training scripts wrap the weights: `state_dict`, `model_state_dict`, `model`, `net` and
  /// `params` are looked into. Averaged (EMA) weights are taken when asked for, or when the file
  /// holds nothing else. A whole pickled module gives what its `state_dict()` would list; a lone
  /// tensor is named `tensor`, those of a list by their index.
  ///
  /// - Parameter key: the entry's name, or a dotted path of names.
  /// - Throws: `.noStateDict`, `.ambiguous` with the names to choose from, or what is wrong with a tensor.
  public func stateDict(key: String? = nil) throws(CheckpointError) -> StateDict {
    do throws(CheckpointError) {
      switch content {
      case .pickles(let pickles, _):
        return try StateDictSearch(pickles, limits: limits).stateDict(at: key)
      case .tensors(let stateDict, _), .shards(let stateDict, _):
        guard key == nil else {
          throw CheckpointError(.noStateDict, "is one state dict, so there is no key to choose.")
        }
        return stateDict
      }
    } catch {
      throw error.inFile(path)
    }
  }

  /// Every tensor in the file under its full dotted path, wherever it lies: in optimizers, lists,
  /// attributes of objects. A container that is reached twice is walked once.
  ///
  /// - Throws: `.malformed` when two tensors have the same path, or what is wrong with a tensor.
  public func allTensors() throws(CheckpointError) -> StateDict {
    guard case .pickles(let pickles, _) = content else { return try stateDict() }
    do throws(CheckpointError) {
      return try TensorWalk.tensors(of: pickles, limits: limits)
    } catch {
      throw error.inFile(path)
    }
  }

  /// The dotted paths of all state dicts in the file, in file order; the root's is empty.
  public var stateDictKeys: [String] {
    switch content {
    case .pickles(let pickles, _): (try? StateDictSearch(pickles, limits: limits).candidates()) ?? []
    case .tensors, .shards: [""]
    }
  }

  /// The paths of the files that the tensors lie in, an index's own first.
  var paths: [String] {
    guard case .shards(_, let shards) = content else { return [path] }
    return [path] + shards.map(\.path)
  }

  /// The size of a file that it may be converted to.
  var mostWritten: Int {
    guard case .shards(_, let shards) = content else { return limits.written(fromFileOf: byteCount) }
    return limits.written(fromFileOf: shards.reduce(0) { $0.saturatingAdding($1.byteCount) })
  }

  // MARK: Checksums

  /// Reads every byte and holds it against the checksums that the file records.
  ///
  /// - Throws: `.checksumMismatch` for the first damaged record, `.malformed` for one that can't be read,
  ///   `.limitExceeded` for compressed records that nothing has read and that ``Limits`` gives no time for.
  public func verifyChecksums() throws(CheckpointError) {
    do throws(CheckpointError) {
      switch content {
      case .pickles(_, let archive?), .tensors(_, let archive?):
        try archive.verifyChecksums(byteCount: byteCount, limits)
      case .pickles(_, nil): return  // streams and tar archives record no checksums
      case .tensors(let stateDict, nil): try RSWMetadata(metadata)?.verifyChecksums(of: stateDict)
      case .shards(_, let shards): for shard in shards { try shard.verifyChecksums() }
      }
    } catch {
      throw error.inFile(path)
    }
  }
}
