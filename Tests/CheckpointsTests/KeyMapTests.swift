// Rules rename as they are written, from either side, and what is no rule is refused with a reason.

import Checkpoints
import Testing

@Suite struct KeyMapTests {
  @Test(arguments: [
    (
      "stages.{s}.layers.{b}.{*} = layer{s+1}.{b}.{*}", "stages.0.layers.12.conv.weight",
      "layer1.12.conv.weight"
    ),
    ("res{s}_{b}_w = layer{s-1}.{b}.w", "res2_0_w", "layer1.0.w"),
    ("{a}.{b}.w = {b}.{a}.w", "1.23.w", "23.1.w"),
    ("x{s}.{*} = y{s}.{*}", "x7.a b\u{E9}.", "y7.a b\u{E9}."),
    ("a = b", "a", "b"),
  ])
  func rulesRenameBothWays(_ rule: String, _ theirs: String, _ ours: String) throws {
    let map = KeyMap([try KeyMap.Rule(rule)])
    #expect(map.ours(theirs)?.name == ours)
    #expect(map.theirs(ours)?.name == theirs)
  }

  @Test(arguments: [
    ("layer{s}.w = l{s}.w", "layer.w"), ("layer{s}.w = l{s}.w", "layer01.w"),
    ("layer{s}.w = l{s}.w", "layer1.w2"), ("layer{s}.w = l{s}.w", "layer9999999999.w"),
    ("a.{*} = b.{*}", "a."), ("res{s-1}.w = l{s}.w", "res.w"), ("l{s+1} = m{s}", "l0"),
    ("l{s}.{s} = m{s}", "l1.2"), ("a = b", "ab"), ("a = b", ""),
  ])
  func otherNamesDoNotMatch(_ rule: String, _ name: String) throws {
    #expect(KeyMap([try KeyMap.Rule(rule)]).ours(name) == nil)
  }

  @Test func optionalTextMayBeThereAndIsNotWritten() throws {
    let map = KeyMap([try KeyMap.Rule("c[/c]/kernel[:0] = c.weight : hwio")])
    for name in ["c/kernel", "c/kernel:0", "c/c/kernel", "c/c/kernel:0"] {
      let renamed = try #require(map.ours(name), "\(name)")
      #expect(renamed.name == "c.weight" && renamed.axes == .hwio)
    }
    #expect(map.theirs("c.weight")?.name == "c/kernel")
  }

  @Test func theFirstRuleThatMatchesWins() throws {
    let map = try KeyMap(
      parsing: """
        # comment
        title: A title
        set stride = first

        head.fc.{*} = fc.{*}    # another comment
        backbone.{*} = {*}
        """)
    #expect(map.ours("backbone.a.b")?.name == "a.b")
    #expect(map.theirs("fc.weight")?.name == "head.fc.weight")
    #expect(map.theirs("conv1.weight")?.name == "backbone.conv1.weight")
    #expect(map.notes["title"] == "A title")
    #expect(map.settings.map(\.name) == ["stride"] && map.settings.map(\.value) == ["first"])
  }

  @Test(arguments: [
    ("a", "OLD = NEW"), ("a.{*} = b", "lacks"), ("a.{x = b", "\"}\""), ("a.{xy} = b", "{xy}"),
    ("a.{*}.b = {*}", "{*} stands at the end"), ("a = b : chw", "hwio"), (" = b", "no pattern"),
    ("a] = b", "closes"), ("a.{s+} = b.{s}", "{s+}"), ("a.{s+99} = b.{s}", "{s+99}"),
    ("a.{S} = b.{S}", "{S}"),
    ("{a}.{b}.{c}.{d}.{e} = {e}.{d}.{c}.{b}.{a}", "more than 4"),
  ])
  func whatIsNoRuleIsRefused(_ rule: String, _ words: String) {
    let error = #expect(throws: KeyMapError.self) { try KeyMap.Rule(rule) }
    #expect(error?.description.contains(words) == true, "\(error?.description ?? "")")
    let inFile = #expect(throws: KeyMapError.self) { try KeyMap(parsing: "x = y\n\n\(rule)\n") }
    #expect(inFile?.description.hasPrefix("line 3: ") == true)
  }

  @Test func axesBecomePyTorchsAndBack() throws {
    // Each element says where it stands in PyTorch's order.
    let shape = [2, 3, 4, 5]
    let values = (0..<120).map(Float.init)
    let torch = try Tensor(shape: shape, values)
    for (axes, expected) in [(KeyMap.Axes.hwio, [4, 5, 3, 2]), (.ohwi, [2, 4, 5, 3])] {
      var stateDict = StateDict()
      try stateDict.append("w", torch)
      let theirs = try torch.fromPyTorch(to: axes)
      #expect(theirs.shape == expected)
      try stateDict.append("v", Tensor(shape: expected, theirs.floats()))
      let map = try KeyMap(parsing: "v = back : \(axes.rawValue)")
      let back = try stateDict.renamed(by: map).stateDict["back"]
      #expect(back?.shape == shape)
      #expect(try back?.floats() == values)
    }
    let matrix = try Tensor(shape: [2, 3], [0, 1, 2, 3, 4, 5])
    #expect(try matrix.fromPyTorch(to: .io).floats() == [0, 3, 1, 4, 2, 5])
    #expect(try matrix.fromPyTorch(to: .oi11).shape == [2, 3, 1, 1])
    #expect(throws: CheckpointError.self) { try matrix.fromPyTorch(to: .hwio) }
  }

  @Test func rulesThatGiveTwoTensorsOneNameAreAnError() throws {
    var stateDict = StateDict()
    for name in ["a.w", "b.w"] { try stateDict.append(name, Tensor(shape: [1], [1])) }
    let map = try KeyMap(parsing: "a.{*} = c.{*}\nb.{*} = c.{*}")
    #expect(throws: CheckpointError.self) { try stateDict.renamed(by: map) }
  }

  @Test(arguments: [
    ("layer1.0.norm1.weight", "layer1.0.bn1.weight", "layer1.{a}.norm1.{*}=layer1.{a}.bn1.{*}"),
    ("stem.weight", "conv1.weight", "stem.{*}=conv1.{*}"), ("a.w", "a.weight", "a.w=a.weight"),
    ("blocks.3.w", "b.3.w", "blocks.{a}.{*}=b.{a}.{*}"),
  ])
  func suggestedRulesDoWhatTheySay(_ theirs: String, _ ours: String, _ expected: String) throws {
    let rule = try #require(KeyMap.rule(from: theirs, to: ours))
    #expect(rule == expected)
    #expect(KeyMap([try KeyMap.Rule(rule)]).ours(theirs)?.name == ours)
  }
}
