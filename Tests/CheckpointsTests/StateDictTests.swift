// Names are code units, order is kept, prefixes go only where they make names fit.

import Checkpoints
import Testing

@Suite struct StateDictTests {
  private func stateDict(_ names: [String]) throws -> StateDict {
    var stateDict = StateDict()
    for name in names { try stateDict.append(name, Tensor(shape: [1], [1])) }
    return stateDict
  }

  @Test func composedAndDecomposedNamesDiffer() throws {
    let stateDict = try stateDict(["\u{E9}", "e\u{301}"])
    #expect(stateDict.count == 2)
    #expect(throws: CheckpointError.self) { try self.stateDict(["a", "a"]) }
  }

  @Test(arguments: [
    (["a.w", "b.w"], ""), (["module.a.w", "module.b.w"], "module."),
    (["_orig_mod.module.a.w"], "_orig_mod.module."),
    (["model.backbone.a.w", "head.w"], "model.backbone."), (["module.a.w", "a.w", "b.w"], ""),
    (["net.a.w"], "net."), (["net_a.w"], ""), (["model.a.x"], ""),
  ])
  func prefixIsFoundWhereItMakesNamesFit(_ names: [String], _ prefix: String) throws {
    let mapping = KeyMapping(of: try stateDict(names), expecting: ["a.w", "b.w"])
    #expect(mapping.prefix == prefix)
    #expect(
      mapping.entries.map(\.from) + mapping.unknown == names.filter { $0.hasPrefix(prefix) }
        + names.filter { !$0.hasPrefix(prefix) })
  }
}
