// Loading finds everything that does not fit, at once, and changes nothing when it fails.

import Checkpoints
import NN
import Testing

@Suite struct LoadingTests {
  private let parameters: [Parameter]
  private let initial: StateDict

  init() throws {
    let scope = Scope()
    _ = Conv2d(scope["conv1"], 2, 3, kernel: 1)
    _ = BatchNorm2d(scope["bn1"], 3)
    parameters = scope.parameters
    var initial = StateDict()
    for parameter in parameters { try initial.append(parameter.name, parameter.initialTensor(seed: 0)) }
    self.initial = initial
  }

  /// The state dict that fits, with some keys left out, put in or replaced.
  private func source(
    without: Set<String> = [], adding: [(String, Tensor)] = [], prefix: String = ""
  ) throws -> StateDict {
    var result = StateDict()
    for (name, tensor) in initial where !without.contains(name) { try result.append(prefix + name, tensor) }
    for (name, tensor) in adding { try result.append(name, tensor) }
    return result
  }

  private func load(_ source: StateDict, strict: Bool = true, ignoring: LoadFindings = []) throws
    -> LoadReport
  {
    try loading(source, strict: strict, ignoring: ignoring).report
  }

  private func loading(
    _ source: StateDict, strict: Bool = true, ignoring: LoadFindings = []
  ) throws -> (stateDict: StateDict, report: LoadReport) {
    let mapping = KeyMapping(of: source, expecting: parameters.map(\.name))
    return try initial.loading(
      source, mapping, for: parameters, head: "bn1", strict: strict, ignoring: ignoring)
  }

  @Test func parametersHavePyTorchsNamesAndOrder() {
    #expect(
      parameters.map(\.name) == [
        "conv1.weight", "conv1.bias", "bn1.weight", "bn1.bias", "bn1.running_mean", "bn1.running_var",
        "bn1.num_batches_tracked",
      ])
  }

  @Test func fittingWeightsLoadCompletely() throws {
    let report = try load(source())
    #expect(
      report.isComplete && report.loaded.count == 7 && report.converted.isEmpty
        && report.removedPrefix.isEmpty)
  }

  @Test func everyFindingIsReportedAtOnce() throws {
    let stray = try source(
      without: ["conv1.weight", "conv1.bias", "bn1.running_var"],
      adding: [
        ("conv1.wieght", Tensor(shape: [3, 2, 1, 1], [0, 0, 0, 0, 0, 0])),
        ("conv1.bias", Tensor(shape: [4], [0, 0, 0, 0])),
        ("extra", Tensor(shape: [1], [0])), ("bn1.running_vax", Tensor(shape: [1], [0])),
      ])
    let error = #expect(throws: LoadError.self) { try load(stray) }
    let report = try #require(error?.report)
    #expect(report.missing.map(\.key) == ["conv1.weight", "bn1.running_var"])
    #expect(report.missing[0].nearest == "conv1.wieght")
    #expect(report.missing[1].nearest == nil, "a tensor of another shape")
    #expect(report.unexpected == ["conv1.wieght", "extra", "bn1.running_vax"])
    #expect(report.mismatched.map(\.key) == ["conv1.bias"])
    #expect(report.mismatched[0].expectedShape == [3] && report.mismatched[0].foundShape == [4])
    for words in ["conv1.weight", "did you mean \"conv1.wieght\"", "extra", "[4] where [3] is due"] {
      #expect(error?.description.contains(words) == true, "\(words)")
    }
  }

  @Test func laxLoadingReturnsTheReportButStillRefusesShapes() throws {
    let report = try load(source(without: ["conv1.weight"]), strict: false)
    #expect(report.missing.map(\.key) == ["conv1.weight"])
    let wrong = try source(without: ["conv1.bias"], adding: [("conv1.bias", Tensor(shape: [1], [9]))])
    #expect(throws: LoadError.self) { try load(wrong, strict: false) }
    #expect(try load(wrong, ignoring: .shapeMismatch).mismatched.count == 1)
    let (kept, _) = try loading(wrong, ignoring: .shapeMismatch)
    #expect(kept["conv1.bias"]?.shape == [3])
  }

  @Test func numBatchesTrackedMayBeAbsent() throws {
    #expect(try load(source(without: ["bn1.num_batches_tracked"])).isComplete)
  }

  @Test func countersMayBecomeFractionsWithTheRest() throws {
    let half = try Tensor(dtype: .float16, shape: [], storage: Storage(Bytes([0, 0x3C])))
    let name = "bn1.num_batches_tracked"
    let report = try load(source(without: [name], adding: [(name, half)]))
    #expect(report.isComplete && report.converted.map(\.key) == [name])
  }

  @Test func prefixesAreRemovedAndReported() throws {
    #expect(try load(source(prefix: "_orig_mod.module.")).removedPrefix == "_orig_mod.module.")
  }

  @Test func floatingPointTypesConvertAndOthersDoNot() throws {
    let half = try Tensor(dtype: .float16, shape: [3], storage: Storage(Bytes([0, 0x3C, 0, 0x40, 0, 0x42])))
    let converted = try load(source(without: ["conv1.bias"], adding: [("conv1.bias", half)])).converted
    #expect(converted.map(\.key) == ["conv1.bias"] && converted[0].from == .float16)
    let integers = try Tensor(dtype: .int16, shape: [3], storage: half.storage)
    let error = #expect(throws: LoadError.self) {
      try load(source(without: ["conv1.bias"], adding: [("conv1.bias", integers)]))
    }
    #expect(error?.report.mismatched.map(\.foundDType) == [.int16])
  }
}
