// What is left of an earlier, larger set of files when weights are written over it: shards that the new index does not
// name, which whatever opens every file of a folder would take for the model's.

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// The files of the set of weights that an output replaces.
package struct EarlierShards {
  /// Paths of those files that the old index names as files of this very output; no others are ever touched.
  package let paths: [String]
  private let index: String

  /// - Parameter path: the output, such as `model.safetensors`, of which there may be an index already.
  package init(of path: String) {
    index = path + ".index.json"
    let folder = path.lastIndex(of: "/").map { String(path[...$0]) } ?? ""
    guard let bytes = try? Bytes(mapping: index), ShardIndex.recognizes(bytes, limits: Limits()),
      let names = try? ShardIndex(bytes, limits: Limits()).files
    else {
      paths = []
      return
    }
    paths = names.map { folder + $0 }.filter { EarlierShards.isShard($0, of: path) }
  }

  /// Whether a path is that of a shard of `path`, as `StateDict.shards` gives them.
  private static func isShard(_ shard: String, of path: String) -> Bool {
    let stem = path.lastIndex(of: ".").map { String(path[..<$0]) } ?? path
    let suffix = path.dropFirst(stem.count)
    guard shard.hasPrefix(stem + "-"), shard.hasSuffix(suffix) else { return false }
    let numbers = shard.dropFirst(stem.count + 1).dropLast(suffix.count)
      .split(separator: "-", omittingEmptySubsequences: false)
    let areFive = [numbers.first, numbers.last].allSatisfy { number in
      number?.count == 5 && number?.utf8.allSatisfy { (0x30...0x39).contains($0) } == true
    }
    return numbers.count == 3 && numbers[1] == "of" && areFive
  }

  /// Removes what is not among the files that were written: shards, and the index where one file was enough.
  func remove(except written: [String]) {
    let stale = paths.filter { path in !written.contains(path) }
    for path in stale { unsafe unlink(path) }
    if !paths.isEmpty, !written.contains(index) { unsafe unlink(index) }
  }
}
