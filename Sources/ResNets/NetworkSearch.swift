// Where in a state dict a ResNet is, and whose names it has: a prefix and a dialect.

import Checkpoints

/// A prefix and a dialect with which names become a ResNet's.
struct NetworkSearch {
  /// Every ResNet has this convolution; whatever stands before it is the prefix.
  private static let anchor = "layer2.0.conv1.weight"
  /// Nobody puts more networks into a file.
  private static let mostCandidates = 64

  private struct Candidate {
    let dialect: Dialect
    let prefix: String
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
    var candidates = NetworkSearch.candidates(stateDict)
    for index in candidates.indices {
      let (dialect, prefix) = (candidates[index].dialect, candidates[index].prefix)
      candidates[index].count = stateDict.count { name, _ in
        name.droppingPrefix(prefix).map { dialect.ours($0[...]) != nil } ?? false
      }
      if candidates[index].count == stateDict.count { break }  // nothing is left for others
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
    mapping = NetworkSearch.mapping(of: stateDict, choice, isAlone: networks.count == 1)
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

  private static func candidates(_ stateDict: StateDict) -> [Candidate] {
    var candidates: [Candidate] = []
    for dialect in Dialect.all {
      var tried: Set<CodeUnitKey> = []
      for ending in dialect.spellings(anchor) {
        let last = ending.utf8.last
        for (name, _) in stateDict where name.utf8.last == last && candidates.count < mostCandidates {
          guard let prefix = name.droppingSuffix(ending),
            prefix.isEmpty || prefix.hasSuffix(".") || prefix.hasSuffix("/"),
            tried.insert(CodeUnitKey(prefix)).inserted
          else { continue }
          if let needed = dialect.needs, stateDict[prefix + needed] == nil { continue }
          candidates.append(Candidate(dialect: dialect, prefix: prefix, anchor: name))
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

  /// - Parameter isAlone: whether there is no other network, so that whatever is not known is an error.
  private static func mapping(
    of stateDict: StateDict, _ choice: Candidate, isAlone: Bool
  ) -> KeyMapping {
    var mapping = KeyMapping()
    (mapping.dialect, mapping.prefix) = (choice.dialect.name, choice.prefix)
    mapping.entries.reserveCapacity(stateDict.count)
    let isOwn = choice.dialect.map.rules.isEmpty
    for (name, _) in stateDict {
      guard let rest = name.droppingPrefix(choice.prefix) else {
        mapping.leftOut.append(name)
        continue
      }
      if let ours = choice.dialect.ours(rest[...]) {
        mapping.entries.append(.init(from: name, to: ours.name, axes: ours.axes))
      } else if isOwn, isAlone, !Dialect.isForeignHead(rest[...]) {
        mapping.unknown.append(name)
      } else {
        mapping.leftOut.append(name)
      }
    }
    return mapping
  }

  // MARK: Pairs of networks

  /// Words in prefixes and keys of networks that lie side by side, the one to take first: the trained network before
  /// its momentum copy, but the teacher before the student, as DINO's evaluation takes it.
  private static let pairs = [
    ("encoder_q", "encoder_k"), ("base_encoder", "momentum_encoder"), ("teacher", "student"),
    ("online", "target"), ("backbone", "momentum_backbone"), ("encoder", "momentum"),
    ("backbone", "backbone_momentum"), ("query", "key"), ("net", "ema"),
  ]

  /// The one of several prefixes or keys to take without being asked; nil of none.
  static func preferred(among names: [String]) -> String? {
    names.min { (rank($0), $0.count, $0) < (rank($1), $1.count, $1) }
  }

  /// 0 for what has no prefix, 1 for what comes first in its pair or in none, 2 for what comes second.
  static func rank(_ name: String) -> Int {
    if name.isEmpty { return 0 }
    let words = Set(name.split(whereSeparator: { $0 == "." || $0 == "/" }).flatMap { [$0, $0.prefix { $0 != "_" }] }.map(String.init))
    return pairs.contains { words.contains($0.1) } ? 2 : 1
  }
}
