// Where in a state dict a ResNet is, and whose names it has: a prefix and a dialect.

import Checkpoints

/// A prefix and a dialect with which names become a ResNet's.
struct NetworkSearch {
  /// Every ResNet has this convolution; whatever stands before it is the prefix.
  private static let anchor = "layer2.0.conv1.weight"
  /// Nobody puts more networks into a file.
  private static let mostCandidates = 32
  private static let mostComparisons = 1_000_000

  private struct Candidate {
    let dialect: Dialect
    let prefix: String
    var prefixBytes: [UInt8] { Array(prefix.utf8) }
    /// The name of the convolution that it was found by: who shares it is the same network.
    let anchor: String
    var count = 0
    var isSpecific: Bool { dialect.needs != nil }
  }

  /// The names of a network; nil when there is none.
  let mapping: KeyMapping?
  let dialect: Dialect?
  /// Prefixes of other networks in the same state dict, which were not taken.
  private(set) var others: [String] = []
  /// Prefixes of networks among which there is no reason to choose.
  private(set) var equals: [String] = []

  init(_ stateDict: StateDict) {
    let names = stateDict.map { Array($0.name.utf8) }
    // All names are held against every candidate: the more there are, the fewer candidates.
    let most = max(4, min(NetworkSearch.mostCandidates, NetworkSearch.mostComparisons / max(1, names.count)))
    var candidates = NetworkSearch.candidates(stateDict, names, most: most)
    for index in candidates.indices {
      let (dialect, prefix) = (candidates[index].dialect, candidates[index].prefixBytes)
      candidates[index].count = names.count {
        $0.starts(with: prefix) && dialect.knows($0, from: prefix.count)
      }
      if candidates[index].count == names.count { break }  // nothing is left for others
    }
    // Several dialects may fit a network: the one that knows most of its names counts, then the first.
    var networks: [Candidate] = []
    for candidate in candidates {
      if let index = networks.firstIndex(where: { $0.anchor == candidate.anchor }) {
        if candidate.count > networks[index].count { networks[index] = candidate }
      } else {
        networks.append(candidate)
      }
    }
    let largest = networks.map(\.count).max() ?? 0
    let best = networks.filter { $0.count == largest }
    guard let preferred = NetworkSearch.preferred(among: best.map(\.prefix)),
      let choice = best.first(where: { $0.prefix == preferred })
    else {
      (mapping, dialect) = (nil, nil)
      return
    }
    mapping = NetworkSearch.mapping(of: names, choice, beside: networks.filter { $0.anchor != choice.anchor })
    dialect = choice.dialect
    for other in networks where other.anchor != choice.anchor && other.count * 2 > largest {
      if NetworkSearch.share(choice, other, stateDict) { continue }
      if other.count == largest, NetworkSearch.rank(other.prefix) == NetworkSearch.rank(choice.prefix) {
        equals.append(other.prefix)
      } else {
        others.append(other.prefix)
      }
    }
  }

  private static func candidates(
    _ stateDict: StateDict, _ names: [[UInt8]], most: Int
  ) -> [Candidate] {
    var candidates: [Candidate] = []
    for dialect in Dialect.all {
      var tried: Set<CodeUnitKey> = []
      for ending in dialect.spellings(anchor) {
        for name in names where candidates.count < most && name.last == ending.last {
          guard name.count >= ending.count, name[(name.count - ending.count)...].elementsEqual(ending) else {
            continue
          }
          let rest = name[..<(name.count - ending.count)]
          let prefix = String(decoding: rest, as: UTF8.self)
          guard rest.isEmpty || rest.last == UInt8(ascii: ".") || rest.last == UInt8(ascii: "/"),
            tried.insert(CodeUnitKey(prefix)).inserted
          else { continue }
          if let needed = dialect.needs, stateDict[prefix + needed] == nil { continue }
          candidates.append(
            Candidate(dialect: dialect, prefix: prefix, anchor: String(decoding: name, as: UTF8.self)))
        }
      }
    }
    return candidates.filter(\.isSpecific) + candidates.filter { !$0.isSpecific }
  }

  /// Whether two networks are the same one under two names, as where a module is kept by two others.
  private static func share(_ a: Candidate, _ b: Candidate, _ stateDict: StateDict) -> Bool {
    guard let first = stateDict[a.anchor], let second = stateDict[b.anchor] else { return false }
    return first.storage === second.storage && first.storageOffset == second.storageOffset
  }

  /// - Parameter others: the other networks in the state dict.
  private static func mapping(of names: [[UInt8]], _ choice: Candidate, beside others: [Candidate])
    -> KeyMapping
  {
    var mapping = KeyMapping()
    (mapping.dialect, mapping.prefix) = (choice.dialect.name, choice.prefix)
    mapping.entries.reserveCapacity(names.count)
    let prefix = choice.prefixBytes
    // Where a network lies at the root and another one beside it, the rest is that one's.
    let sharesRoot = prefix.isEmpty && !others.isEmpty
    var rest: [[UInt8]] = []
    var places: Set<ArraySlice<UInt8>> = []
    for name in names {
      if name.starts(with: prefix), let ours = choice.dialect.ours(name, from: prefix.count) {
        mapping.entries.append(
          .init(from: String(decoding: name, as: UTF8.self), to: ours.name, axes: ours.axes))
        places.insert(place(name[prefix.count...]))
      } else {
        rest.append(name)
      }
    }
    // What lies in the network's own modules, or at its root, may be a layer that nothing knows.
    for name in rest {
      let inner = name.starts(with: prefix) ? name[prefix.count...] : []
      let isInside =
        !inner.isEmpty && !sharesRoot && (choice.dialect.isStrict || places.contains(place(inner)))
      let text = String(decoding: name, as: UTF8.self)
      if isInside, !Dialect.isForeignHead(inner) {
        mapping.unknown.append(text)
      } else {
        mapping.leftOut.append(text)
      }
    }
    return mapping
  }

  /// The outermost module that a name is in.
  private static func place(_ name: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
    let end = name.firstIndex { $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "/") } ?? name.endIndex
    return name[..<end]
  }

  // MARK: Pairs of networks

  /// Words in prefixes and keys of the second of two networks that lie side by side: a trained network's momentum
  /// copy or average, and the student of a teacher, as DINO's evaluation takes the teacher.
  private static let seconds: Set<String> = [
    "encoder_k", "momentum_encoder", "momentum_backbone", "backbone_momentum", "momentum", "student",
    "target", "key",
    "ema",
  ]

  /// The one of several prefixes or keys to take without being asked; nil of none.
  static func preferred(among names: [String]) -> String? {
    names.min { (rank($0), $0.count, $0) < (rank($1), $1.count, $1) }
  }

  /// 0 for what has no prefix, 1 for what comes first in its pair or in none, 2 for what comes second.
  static func rank(_ name: String) -> Int {
    if name.isEmpty { return 0 }
    let words = name.split { $0 == "." || $0 == "/" }.flatMap { [$0, $0.prefix { $0 != "_" }] }
    return words.contains { seconds.contains(String($0)) } ? 2 : 1
  }
}
