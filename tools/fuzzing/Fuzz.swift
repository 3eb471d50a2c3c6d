// What tools/fuzz runs: an input is opened as a checkpoint, and everything that a user could do with
// one is done. A `CheckpointError` is the right answer to a bad file; anything else is a finding.
//
// Compiled together with Sources/Checkpoints into one module, so internal declarations are in reach.

import Foundation

/// One format's readers.
enum FuzzTarget: String, CaseIterable {
  /// Zip archives and, as most of what they hold can't be reached by changing an archive, bare pickles.
  case zip
  case legacy, tar, safetensors, npy

  /// The target that tools/fuzz names.
  static let current: FuzzTarget = {
    let name = ProcessInfo.processInfo.environment["RSW_FUZZ_TARGET"] ?? ""
    guard let target = FuzzTarget(rawValue: name) else {
      fatalError("RSW_FUZZ_TARGET must be one of \(allCases.map(\.rawValue)), not \(quoted(name))")
    }
    return target
  }()
}

/// libFuzzer calls this first; with RSW_FUZZ_SEEDS set, nothing but the seeds is made.
@_cdecl("LLVMFuzzerInitialize")
public func fuzzInitialize(
  _ count: UnsafeMutablePointer<CInt>?,
  _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?>?
) -> CInt {
  let environment = ProcessInfo.processInfo.environment
  if let seeds = environment["RSW_FUZZ_SEEDS"], let fixtures = environment["RSW_FUZZ_FIXTURES"] {
    do {
      try FuzzSeeds(folder: URL(filePath: seeds)).make(from: URL(filePath: fixtures))
      exit(0)
    } catch {
      FileHandle.standardError.write(Data("can't make seeds: \(error)\n".utf8))
      exit(1)
    }
  }
  _ = FuzzTarget.current
  return 0
}

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  // A copy of exactly this size, so that AddressSanitizer sees a read beyond it.
  let input = unsafe Bytes(count: count) { target in
    unsafe target.copyMemory(from: UnsafeRawBufferPointer(start: start, count: count))
  }
  var user = FuzzUser()
  switch FuzzTarget.current {
  case .legacy, .safetensors, .npy: user.open(input)
  case .zip:
    let isArchive = input.hasPrefix("PK") || ZipArchive.recognizes(input)
    user.open(isArchive ? input : FuzzArchive.holding(pickle: input))
  case .tar:
    user.open(input)
    if let repaired = FuzzTar.withChecksums(input) { user.open(repaired) }
  }
  return 0
}

/// Does what a user could do with a file, within bounds that keep an execution short.
struct FuzzUser {
  private let limits: Limits = {
    var limits = Limits()
    limits.expandedBytes = 1 << 16
    return limits
  }()
  /// How many bytes of tensors may still be read.
  private var budget = 1 << 22
  private static let mostKeys = 8
  private static let mostMembers = 3
  private static let mostTensors = 100
  /// In a folder that can't be, so that an index finds no shards.
  private static let path = "/dev/null/input"

  mutating func open(_ file: Bytes) {
    attempt { user throws(CheckpointError) in
      user.use(try Checkpoint(file, path: FuzzUser.path, limits: user.limits))
    }
    guard let archive = try? ZipArchive(file, limits: limits) else { return }
    for record in archive.records.prefix(FuzzUser.mostMembers) {
      attempt { user throws(CheckpointError) in
        user.use(try Checkpoint(file, path: FuzzUser.path, member: record.name, limits: user.limits))
      }
    }
  }

  private mutating func use(_ checkpoint: Checkpoint) {
    _ = checkpoint.metadata.map { printable($0.name) + printable($0.value) }
    _ = (checkpoint.container, checkpoint.pickleProtocol, checkpoint.writer)
    _ = checkpoint.globals.map { printable($0.name) }

    var plain: String?
    attempt { user throws(CheckpointError) in
      let stateDict = try checkpoint.stateDict()
      plain = stateDict.location
      _ = checkpoint.unusedBytes(beside: stateDict)
      user.use(stateDict)
    }
    for key in checkpoint.stateDictKeys.prefix(FuzzUser.mostKeys) where key != plain {
      attempt { user throws(CheckpointError) in user.use(try checkpoint.stateDict(key: key)) }
    }
    attempt { _ throws(CheckpointError) in _ = try checkpoint.stateDict(key: "model.state_dict") }
    attempt { user throws(CheckpointError) in user.use(try checkpoint.allTensors()) }
    attempt { _ throws(CheckpointError) in try checkpoint.verifyChecksums() }
    attempt { _ throws(CheckpointError) in
      _ = try checkpoint.verify().checks.flatMap(\.findings).map { printable($0.message) }
    }
  }

  private mutating func use(_ stateDict: StateDict) {
    _ = (stateDict.elementCount, stateDict.byteCount, stateDict.ties)
    _ = (stateDict.otherEntries + stateDict.nestedEntries).map { printable($0) }
    for (name, tensor) in stateDict.prefix(FuzzUser.mostTensors) {
      guard stateDict[name] != nil else { fatalError("no tensor has the listed name \(quoted(name))") }
      use(tensor)
    }
    let mapping = KeyMapping(of: stateDict, expecting: ["weight", "bias", "fc.weight", "module.a"])
    attempt { _ throws(CheckpointError) in _ = try mapping.apply(to: stateDict) }
  }

  private mutating func use(_ tensor: Tensor) {
    read(tensor)
    for (_, component) in tensor.components { read(component) }
    if tensor.layout == .nested {
      attempt { user throws(CheckpointError) in
        for part in try tensor.nestedParts().prefix(FuzzUser.mostTensors) { user.read(part) }
      }
    } else if tensor.layout != .strided || tensor.quantization != nil {
      attempt { user throws(CheckpointError) in user.read(try tensor.dense(limits: user.limits)) }
    }
    attempt { _ throws(CheckpointError) in _ = try NPY.Header(NPY.header(tensor)) }
  }

  private mutating func read(_ tensor: Tensor) {
    guard budget > 0 else { return }
    budget -= 64
    attempt { user throws(CheckpointError) in
      let bytes = try tensor.contiguousBytes(limits: user.limits)
      guard bytes.count == tensor.byteCount else { fatalError("a tensor has another size than it says") }
      user.budget -= bytes.count
      _ = crc32(bytes)
      _ = try tensor.storage.checksum()
      // It has no limits of its own, but is never more than 16 times as large.
      guard bytes.count <= 1 << 18 else { return }
      _ = try? TensorStatistics(tensor)
      let count = try tensor.floats().count
      guard count == tensor.elementCount else {
        fatalError("a tensor has another number of floats than elements")
      }
    }
  }

  /// Calls `body`; what it throws must be fit to be shown.
  private mutating func attempt(_ body: (inout FuzzUser) throws(CheckpointError) -> Void) {
    do throws(CheckpointError) {
      try body(&self)
    } catch {
      guard !error.description.isEmpty else { fatalError("an error of kind \(error.code) says nothing") }
    }
  }
}

/// A zip archive as torch.save writes it, made in memory around a pickle.
enum FuzzArchive {
  private static let recordCount = 8
  private static let recordSize = 1024

  static func holding(pickle: Bytes) -> Bytes {
    let pickle = pickle.array
    let (name, place) = (Array("archive/data.pkl".utf8), records.count)
    let directory = recordDirectory + centralHeader(name, size: pickle.count, at: place)
    let file = records + localHeader(name, size: pickle.count) + pickle
    return Bytes(
      file + directory + little(0x0605_4B50, 4) + little(0, 4) + little(recordCount + 1, 2)
        + little(recordCount + 1, 2) + little(directory.count, 4) + little(file.count, 4) + little(0, 2))
  }

  private static func name(_ record: Int) -> [UInt8] { Array("archive/data/\(record)".utf8) }

  /// The storages' records; the same in each archive.
  private static let records: [UInt8] = (0..<recordCount).flatMap { record in
    localHeader(name(record), size: recordSize)
      + (0..<recordSize).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ record) }
  }

  private static let recordDirectory: [UInt8] = (0..<recordCount).flatMap { record in
    centralHeader(
      name(record), size: recordSize,
      at: record * (ZipRecord.localHeaderSize + name(record).count + recordSize))
  }

  private static func localHeader(_ name: [UInt8], size: Int) -> [UInt8] {
    little(0x0403_4B50, 4) + little(0, 14) + little(size, 4) + little(size, 4) + little(name.count, 2)
      + little(0, 2) + name
  }

  /// With a CRC-32 of 0, "not computed".
  private static func centralHeader(_ name: [UInt8], size: Int, at offset: Int) -> [UInt8] {
    little(0x0201_4B50, 4) + little(0, 16) + little(size, 4) + little(size, 4) + little(name.count, 2)
      + little(0, 12) + little(offset, 4) + name
  }

  private static func little(_ value: Int, _ count: Int) -> [UInt8] {
    (0..<count).map { $0 < 8 ? UInt8(truncatingIfNeeded: value >> (8 * $0)) : 0 }
  }
}

/// Each header of a tar archive has a checksum, which a changed header can't be expected to hit.
enum FuzzTar {
  private static let blockSize = 512
  private static let checksum = 148..<156
  private static let size = 124..<136

  /// The same archive with right checksums; nil when they are right already.
  static func withChecksums(_ file: Bytes) -> Bytes? {
    var bytes = file.array
    var position = 0
    while bytes.count - position >= blockSize {
      var header = Array(bytes[position..<position + blockSize])
      if header.allSatisfy({ $0 == 0 }) { break }
      header.replaceSubrange(checksum, with: repeatElement(0x20, count: checksum.count))
      let digits = String(header.reduce(0) { $0 + Int($1) }, radix: 8)
      let field = String(repeating: "0", count: max(0, 6 - digits.count)) + digits + "\0 "
      header.replaceSubrange(checksum, with: Array(field.utf8))
      bytes.replaceSubrange(position..<position + blockSize, with: header)

      let octal = header[size].drop { $0 == 0x20 }.prefix { (0x30...0x37).contains($0) }
      let count = Int(String(decoding: octal, as: UTF8.self), radix: 8) ?? 0
      guard count <= bytes.count - position else { break }
      position += blockSize + (count + blockSize - 1) / blockSize * blockSize
    }
    let repaired = Bytes(bytes)
    return repaired == file ? nil : repaired
  }
}
