// Negative variances fail, dead channels are remarks, whoever's names the tensors have.

import Checkpoints
import ResNets
import TestSupport
import Testing

@Suite struct NetworkChecksTests {
  private func checkpoint(_ name: String) throws -> StateDict {
    try Checkpoint(path: Fixtures.path(name)).stateDict()
  }

  private func check(_ name: String, _ stateDict: StateDict) throws -> VerificationReport.Check {
    try #require(Recognition(stateDict).checks().first { $0.name == name })
  }

  /// The tensor with the value at each of `places` replaced.
  private func changed(_ tensor: Tensor, _ places: some Sequence<Int>, to value: Float) throws -> Tensor {
    var values = try tensor.floats()
    for place in places { values[place] = value }
    return try Tensor(shape: tensor.shape, values)
  }

  @Test func trainedNetworksPass() throws {
    let stateDict = try checkpoint("digits/resnet18-digits.pth")
    let variances = try check("variances", stateDict)
    #expect(variances.holds && variances.count == 20 && variances.outcome == "none negative")
    #expect(try check("channels", stateDict).count == 40)
  }

  @Test func negativeVariancesAreFailures() throws {
    var stateDict = try checkpoint("digits/resnet18-digits.pth")
    let name = "layer2.0.downsample.1.running_var"
    stateDict.update(name, try changed(#require(stateDict[name]), [3, 5], to: -1e-3))
    let check = try check("variances", stateDict)
    #expect(!check.holds && check.findings.count == 1)
    #expect(check.findings[0].subject == name && check.findings[0].index == [3])
    #expect(check.outcome == "1 with negative ones")
    #expect(check.findings[0].message == "is -0.001, and no variance is negative (2 of 8)")
  }

  @Test func theNamesAreTheFiles() throws {
    var wrapped = StateDict()
    for (name, tensor) in try checkpoint("digits/resnet18-digits.pth") {
      try wrapped.append(
        "module." + name, name == "bn1.running_var" ? changed(tensor, [0], to: -1) : tensor)
    }
    #expect(try check("variances", wrapped).findings.map(\.subject) == ["module.bn1.running_var"])
  }

  @Test func deadChannelsAreRemarks() throws {
    var stateDict = try checkpoint("digits/resnet18-digits.pth")
    let before = try check("channels", stateDict).findings.count
    let filters = try #require(stateDict["layer1.0.conv2.weight"])
    let size = filters.elementCount / filters.shape[0]
    stateDict.update("layer1.0.conv2.weight", try changed(filters, 2 * size..<3 * size, to: -0.0))
    let scales = try #require(stateDict["layer4.1.bn1.weight"])
    stateDict.update("layer4.1.bn1.weight", try changed(scales, [4], to: 0))
    let last = try #require(stateDict["layer3.1.bn2.weight"])
    stateDict.update("layer3.1.bn2.weight", try changed(last, 0..<last.elementCount, to: 0))
    let check = try check("channels", stateDict)
    #expect(check.holds && check.findings.count == before + 3, "\(check.findings)")
    #expect(check.outcome == "\(before + 3) with dead channels")
    func finding(_ name: String) -> VerificationReport.Finding? {
      check.findings.first { $0.subject == name }
    }
    let filter = finding("layer1.0.conv2.weight")
    #expect(filter?.index == [2])
    #expect(
      filter?.message == "is a filter of zeros, so that the channel is the same for every image (1 of 4)")
    let scale = finding("layer4.1.bn1.weight")
    #expect(scale?.index == [4])
    #expect(scale?.message == "is 0, so that the channel is the same for every image (1 of 32)")
    #expect(
      finding("layer3.1.bn2.weight")?.message
        == "and all other scales are 0: the branch adds nothing, as where training begins so")
  }
}
