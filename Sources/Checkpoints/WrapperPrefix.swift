// The prefixes that wrappers put before every parameter's name.

/// Finds and removes what wrappers put before parameter names.
public enum WrapperPrefix {
  /// The prefixes that are known, with who writes them.
  ///
  /// `module.`: DataParallel and DistributedDataParallel; `_orig_mod.`: torch.compile; `model.`:
  /// Lightning modules; `backbone.`: detectors, segmenters and fine-tuning scripts.
  public static let known = ["module.", "_orig_mod.", "model.", "backbone."]

  /// Nobody wraps a model more often than this.
  private static let mostWrappers = 8

  /// The sequence of known prefixes without which most of `expected` are names of `stateDict`.
  ///
  /// Empty when no prefix makes more names fit than none does.
  package static func find(in stateDict: StateDict, expecting expected: [String]) -> String {
    var candidates: Set<CodeUnitKey> = []
    let wanted = Set(expected.map(CodeUnitKey.init))
    for name in stateDict.names {
      var prefix = ""
      for _ in 0..<mostWrappers {
        guard let next = known.first(where: { name.droppingPrefix(prefix + $0) != nil }) else { break }
        prefix += next
        let rest = name.droppingPrefix(prefix) ?? ""
        if wanted.contains(CodeUnitKey(rest)) { candidates.insert(CodeUnitKey(prefix)) }
      }
    }
    var best = (prefix: "", fitting: expected.count { stateDict[$0] != nil })
    for candidate in candidates.map(\.string).sorted(by: { ($0.count, $0) < ($1.count, $1) }) {
      let fitting = expected.count { stateDict[candidate + $0] != nil }
      if fitting > best.fitting { best = (candidate, fitting) }
    }
    return best.prefix
  }
}
