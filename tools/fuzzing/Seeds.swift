// The inputs that fuzzing starts from: the fixtures, each for the target that its content calls for,
// and what can be made of them.

import Foundation

struct FuzzSeeds {
  /// Gets one folder for each target.
  let folder: URL
  /// Well below tools/fuzz's -max_len: long inputs are slow.
  private static let mostBytes = 1 << 14
  /// Enough for one seed of each dtype and then some.
  private static let mostTensors = 40

  func make(from fixtures: URL) throws {
    for target in FuzzTarget.allCases {
      try FileManager.default.createDirectory(at: place(target), withIntermediateDirectories: true)
    }
    for part in ["reading", "bad"] {
      let root = fixtures.appending(path: part)
      let names = (FileManager.default.enumerator(atPath: root.path)?.compactMap { $0 as? String } ?? [])
        .sorted()
      for name in names {
        let url = root.appending(path: name)
        guard (try? url.resourceValues(forKeys: [.isRegularFileKey]))?.isRegularFile == true,
          // Beside a file of another extension lies what a test expects of it.
          url.pathExtension != "json"
            || !names.contains(where: { $0 != name && $0.hasPrefix(name.dropLast("json".count)) })
        else { continue }
        try add(Bytes(mapping: url.path), named: part + "-" + name.replacing("/", with: "-"))
      }
    }
    for (index, header) in FuzzSeeds.safetensorsHeaders.enumerated() {
      let size = (0..<8).map { UInt8(truncatingIfNeeded: header.utf8.count >> (8 * $0)) }
      try write(Bytes(size + Array(header.utf8) + [1, 2, 3, 4, 5, 6, 7, 8]), .safetensors, "header-\(index)")
    }
  }

  /// Headers that no fixture has, for 8 bytes of data.
  private static let safetensorsHeaders = [
    #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#,
    #"{"__metadata__":{"format":"pt","é\u00e9\ud83d\ude00":"\n\t\"\\\/"},"b":{"shape":[],"dtype":"F64","data_offsets":[0,8]}} "#,
    #" {"x" : {"dtype" : "BF16", "shape" : [ 0, 3 ], "data_offsets" : [ 0, 0 ]}, "y": {"dtype":"U8","shape":[2,4],"data_offsets":[0,8]}}"#,
    #"{"__metadata__":{"format":"rsw","rsw_version":"1","crc32":"{\"a\":\"46891f81\"}"},"a":{"dtype":"I64","shape":[1],"data_offsets":[0,8]}}"#,
    #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"more":[1.5e3,-0,true,false,null,[[{}]]]}}"#,
  ]

  private func place(_ target: FuzzTarget) -> URL { folder.appending(path: target.rawValue) }

  private func write(_ bytes: Bytes, _ target: FuzzTarget, _ name: String) throws {
    guard bytes.count <= FuzzSeeds.mostBytes else { return }
    try Data(bytes.array).write(to: place(target).appending(path: name))
  }

  private func add(_ file: Bytes, named name: String) throws {
    let target = target(of: file)
    try write(file, target, name)
    if target == .zip, let archive = try? ZipArchive(file) {
      for record in archive.records where record.name.hasSuffix("data.pkl") {
        if let pickle = try? record.bytes() { try write(pickle, .zip, name + ".pkl") }
      }
    }
    // Safetensors and NumPy files of what a fixture holds.
    if target != .safetensors, target != .npy, let stateDict = try? Checkpoint(file, path: name).stateDict(),
      stateDict.count <= FuzzSeeds.mostTensors, stateDict.byteCount <= FuzzSeeds.mostBytes
    {
      try? stateDict.write(to: place(.safetensors).appending(path: name + ".rsw").path)
      for (index, (_, tensor)) in stateDict.enumerated() where name.contains("dtypes") {
        try? tensor.writeNPY(to: place(.npy).appending(path: "\(name)-\(index).npy").path)
      }
    }
  }

  /// As `Checkpoint` decides; what nothing knows goes where every recogniser is asked.
  private func target(of file: Bytes) -> FuzzTarget {
    switch try? FileFormat(of: file, limits: Limits()) {
    case .zip: .zip
    case .tar: .tar
    case .safetensors, .index: .safetensors
    case .npy: .npy
    case .legacy, .pickle, nil: .legacy
    }
  }
}
