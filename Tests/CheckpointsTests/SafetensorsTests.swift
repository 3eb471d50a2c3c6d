// The rules of a safetensors file, each broken once.

import Checkpoints
import TestSupport
import Testing

@Suite struct SafetensorsTests {
  private func open(_ header: String, data: Int) throws -> StateDict {
    let folder = try TemporaryFolder()
    let size = header.utf8.count
    let prefix = (0..<8).map { UInt8(truncatingIfNeeded: size >> (8 * $0)) }
    let path = try folder.write(
      prefix + Array(header.utf8) + [UInt8](repeating: 7, count: data), as: "a.safetensors")
    return try Checkpoint(path: path).stateDict()
  }

  @Test func orderOfTheHeaderIsKept() throws {
    let stateDict = try open(
      #"{"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]},"__metadata__":{"a":"b"},"a":{"dtype":"I8","shape":[],"data_offsets":[0,1]}}   "#,
      data: 3)
    #expect(stateDict.names == ["b", "a"])
    #expect(try stateDict["b"]?.contiguousBytes().array == [7, 7])
  }

  @Test(arguments: [
    (#"{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}"#, 3),  // bytes behind the last tensor
    (#"{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}"#, 1),  // cut short
    (#"{"a":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}"#, 3),  // a hole
    (
      #"{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}"#,
      3
    ),
    (#"{"a":{"dtype":"U8","shape":[3],"data_offsets":[0,2]}}"#, 2),  // shape and bytes differ
    (#"{"a":{"dtype":"Q8","shape":[2],"data_offsets":[0,2]}}"#, 2),
    (#"{"a":{"dtype":"U8","shape":[-2],"data_offsets":[0,2]}}"#, 2),
    (#"{"a":{"dtype":"U8","shape":[4611686018427387904,4],"data_offsets":[0,2]}}"#, 2),
    (#"{"a":{"dtype":"U8","shape":[2],"data_offsets":[2,0]}}"#, 2),
    (#"{"a":{"dtype":"U8","shape":[2],"data_offsets":[0]}}"#, 2),
    (#"{"a":{"dtype":"U8","shape":[2],"data_offsets":[-0,2]}}"#, 2),
    (#"{"a":{"dtype":"F4","shape":[],"data_offsets":[0,1]}}"#, 1),
    (#"{"a":{"dtype":"U8","shape":[2]}}"#, 2),
    (
      #"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}"#,
      2
    ),
    (#"{"__metadata__":{"a":1}}"#, 0), (#"{"a":"#, 0), (#"{"a":NaN}"#, 0), (#"{} x"#, 0), (#"{"a":[1,]}"#, 0),
    (String(repeating: #"{"a":"#, count: 100_000), 0),
  ])
  func brokenRulesAreErrors(_ header: String, _ data: Int) {
    #expect(throws: CheckpointError.self) { try open(header, data: data) }
  }
}
