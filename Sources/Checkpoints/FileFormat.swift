// What a file is, by its bytes and never by its name.

/// The formats that a file can be in; a zip archive may hold several kinds of checkpoint.
enum FileFormat {
  case zip, tar, legacy, pickle, safetensors, npy, index

  /// Recognises `file`.
  ///
  /// - Throws: `.notACheckpoint`, which says what the file is instead.
  init(of file: Bytes, limits: Limits) throws(CheckpointError) {
    // An archive may have anything before it, so its end counts too.
    if file.hasPrefix("PK\u{3}\u{4}") || file.hasPrefix("PK\u{5}\u{6}") {
      self = .zip
    } else if NPY.recognizes(file) {
      self = .npy
    } else if SafetensorsFile.recognizes(file) {
      self = .safetensors
    } else if TorchLegacy.recognizes(file) {
      self = .legacy
    } else if TarArchive.recognizes(file) {
      self = .tar
    } else if ShardIndex.recognizes(file, limits: limits) {
      self = .index
    } else if ZipArchive.recognizes(file) {
      self = .zip
    } else if FileFormat.isPickle(file, limits: limits) {
      self = .pickle
    } else {
      throw CheckpointError(.notACheckpoint, "is \(FileFormat.description(of: file)).")
    }
  }

  /// Whether `file` begins with the PROTO opcode or, in protocols 0 and 1, is a pickle to its end.
  private static func isPickle(_ file: Bytes, limits: Limits) -> Bool {
    guard let first = file.load(UInt8.self, at: 0) else { return false }
    if first == PickleOpcode.proto.rawValue {
      return file.load(UInt8.self, at: 1).map { (1...5).contains($0) } ?? false
    }
    guard file.load(UInt8.self, at: file.count - 1) == PickleOpcode.stop.rawValue, file.count > 1,
      PickleOpcode(rawValue: first) != nil
    else { return false }
    return (try? PickleMachine.run(file, limits: limits))?.end == file.count
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
    if file.load(UInt8.self, at: 0) == 0x89 && file.slice(1, 3)?.hasPrefix("HDF") == true {
      return "an HDF5 file, as Keras writes: save the weights with safetensors or numpy.savez"
    }
    if isPicture(file) { return "a picture: name a checkpoint" }
    if isONNX(file) {
      return "an ONNX model, which rsw writes and does not read: name the checkpoint it is made from"
    }
    if file.hasPrefix("GGUF") { return "a GGUF file, whose quantized blocks PyTorch does not use" }
    return "no checkpoint that rsw knows (it reads PyTorch's formats, pickles, safetensors, npz, npy and rsw)"
  }

  /// Whether `file` begins as PNG or JPEG does.
  private static func isPicture(_ file: Bytes) -> Bool {
    switch file.load(UInt8.self, at: 0) {
    case 0x89: file.slice(1, 3)?.hasPrefix("PNG") == true
    case 0xFF: file.load(UInt8.self, at: 1) == 0xD8 && file.load(UInt8.self, at: 2) == 0xFF
    default: false
    }
  }

  /// Whether `file` begins as an ONNX model does: the version, and then the producer, the domain or the graph.
  private static func isONNX(_ file: Bytes) -> Bool {
    guard file.load(UInt8.self, at: 0) == 0x08, let version = file.load(UInt8.self, at: 1),
      let next = file.load(UInt8.self, at: 2)
    else { return false }
    return (1..<0x80).contains(version) && [0x12, 0x22, 0x3A, 0x42].contains(next)
  }
}
