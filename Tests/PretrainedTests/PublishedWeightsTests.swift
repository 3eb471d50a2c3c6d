// The table of published weights, and models from it.

import Checkpoints
import Foundation
import Pretrained
import TestSupport
import Testing

@Suite struct PublishedWeightsTests {
  @Test func theTableIsSound() throws {
    let all = PublishedWeights.all
    for row in all {
      #expect(row.parameterCount != nil, "\(row.name) is no variant")
      #expect(row.digits?.count == 8, "\(row.url)")
      #expect(row.url.hasPrefix("https://"), "\(row.url)")
      #expect(try PublishedWeights.named(row.name) == row)
      #expect(try PublishedWeights.named(row.fileName) == row)
      if let byteCount = row.byteCount, let parameters = row.parameterCount {
        // Two bytes for each: one file of torchvision's is in half precision.
        #expect(byteCount > 2 * parameters && byteCount < 5 * parameters, "\(row.name)")
      }
    }
    #expect(Set(all.map(\.name)).count == all.count)
    #expect(Set(all.map(\.fileName)).count == all.count)
  }

  @Test(arguments: [
    ("resnet50", "resnet50-11ad3fa6.pth"), ("resnet50:v1", "resnet50-0676ba61.pth"),
    ("resnet50:IMAGENET1K_V2", "resnet50-11ad3fa6.pth"), ("resnet18", "resnet18-f37072fd.pth"),
    ("resnet50.a1_in1k", "resnet50_a1_0-14fe96d1.pth"), ("resnet50-0676ba61.pth", "resnet50-0676ba61.pth"),
    ("wide_resnet101_2:v2", "wide_resnet101_2-d733dc28.pth"), ("cifar_resnet20", "resnet20-12fca82f.th"),
  ])
  func aNameMeansAFile(name: String, file: String) throws {
    #expect(try PublishedWeights.named(name).fileName == file)
  }

  @Test(arguments: [
    ("resnet51", "no published weights of \"resnet51\" are known. Did you mean resnet50?"),
    ("resnext101_64x4d:v2", "resnext101_64x4d has no weights \"v2\"; it has v1, c1_in1k, gluon_in1k."),
    (
      "vgg16",
      "no published weights of \"vgg16\" are known. "
        + "'rsw fetch --list' lists those there are."
    ),
    (
      ":",
      "no published weights of \"\" are known. "
        + "'rsw fetch --list' lists those there are."
    ),
  ])
  func aWrongNameSaysWhatThereIs(name: String, text: String) {
    #expect(errorText { try PublishedWeights.named(name) } == text)
  }

  @Test func aModelIsDownloadedAndLoaded() throws {
    let folder = try TemporaryFolder()
    let source = ResNet(try #require(Architecture(named: "test_resnet")), seed: 7)
    try source.stateDict.write(to: folder.path("weights.pth"))
    let content = Array(try Data(contentsOf: URL(filePath: folder.path("weights.pth"))))
    let server = try FaultyServer { $1.file(content, $0) }
    let (cache, weights) = (try TestCache(), Served(content, at: server.url).weights)
    let model = try ResNet(pretrained: weights, cache: cache.cache)
    let name = "layer1.0.conv1.weight"
    #expect(
      try model.stateDict[name]?.contiguousBytes().array == source.stateDict[name]?.contiguousBytes().array)

    let other = try ResNet(pretrained: weights, classes: 10, cache: cache.cache)
    #expect(other.architecture.classes == 10)
    #expect(
      try other.stateDict[name]?.contiguousBytes().array == source.stateDict[name]?.contiguousBytes().array)
  }

  @Test func aFileOfAnotherNetworkIsNamed() throws {
    let cache = try TestCache { $0.isOffline = true }
    let digits = try Data(contentsOf: URL(filePath: Fixtures.path("digits/resnet18-digits.pth")))
    try cache.write(Array(digits), as: "resnet50-0676ba61.pth")
    let path = try cache.cache.path(of: .named("resnet50:v1"))
    #expect(
      errorText { try ResNet.resnet50(pretrained: .imageNetV1, cache: cache.cache) }
        == "\(path) does not hold the weights of resnet50 (165 missing, 0 unexpected, 102 mismatched keys): "
        + "remove it, and it is downloaded again.")
    let unknown = PublishedWeights("alexnet", .imageNetV1, "https://example.org/alexnet.pth")
    #expect(
      errorText { try ResNet(pretrained: unknown, cache: cache.cache) } == "there is no network \"alexnet\".")
  }
}
