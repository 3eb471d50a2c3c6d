// rsw classify and rsw features as users run them.

import Checkpoints
import Foundation
import TestSupport
import Testing

@Suite struct PhotoToolTests {
  private static let model = Fixtures.path("digits/resnet18-digits.pth")
  private static let folder = Fixtures.path("photos/digits")
  /// The digits were not normalised.
  private static let options = ["--resize", "32", "--crop", "32", "--mean", "0,0,0", "--std", "1,1,1"]

  private struct Line: Decodable {
    struct Prediction: Decodable {
      let `class`: Int
      let label: String?
      let probability: Double
      let logit: Double
    }
    let schema: Int
    let image: String
    let predictions: [Prediction]
  }

  private func lines(_ output: String) throws -> [Line] {
    try output.split(separator: "\n").map { try JSONDecoder().decode(Line.self, from: Data($0.utf8)) }
  }

  private func classify(_ arguments: String...) throws -> Tool.Outcome {
    try Tool.run(["classify", PhotoToolTests.model] + arguments + PhotoToolTests.options)
  }

  @Test func imagesOfAFolderAreClassifiedInOrder() throws {
    let done = try classify(PhotoToolTests.folder, "--top", "3")
    #expect(done.status == 0 && done.errors.isEmpty, "\(done.errors)")
    let lines = try lines(done.output)
    let names = lines.map { $0.image.split(separator: "/").last.map(String.init) ?? "" }
    #expect(names == names.sorted() && names.count == 5)
    for (name, line) in zip(names, lines) {
      #expect(line.schema == 1 && line.predictions.count == 3)
      #expect(line.predictions[0].label == nil)
      #expect(name.hasSuffix("-shows-\(line.predictions[0].class).png"), "\(name): \(line.predictions)")
      #expect(line.predictions[0].logit > line.predictions[1].logit)
    }
  }

  @Test func batchesAndThreadsChangeNothingButRounding() throws {
    let reference = try lines(classify(PhotoToolTests.folder).output)
    for options in [["--batch", "1"], ["--batch", "5", "--threads", "1"], ["--threads", "4"]] {
      let found = try lines(
        Tool.run(
          ["classify", PhotoToolTests.model, PhotoToolTests.folder] + options + PhotoToolTests.options
        )
        .output)
      #expect(found.map(\.image) == reference.map(\.image))
      for (a, b) in zip(found, reference) {
        #expect(a.predictions[0].class == b.predictions[0].class)
        #expect(abs(a.predictions[0].logit - b.predictions[0].logit) < 1e-4)
      }
    }
  }

  @Test func patternsAreUnderstoodWithoutAShell() throws {
    let done = try classify(PhotoToolTests.folder + "/*-shows-[27].png")
    #expect(try lines(done.output).count == 2, "\(done.errors)")
  }

  @Test func badImagesAreReportedAndTheOthersDone() throws {
    let done = try classify(
      Fixtures.path("photos/bad/truncated.png"), PhotoToolTests.folder, Fixtures.path("photos/bad/page.jpg"))
    #expect(done.status == 65)
    #expect(try lines(done.output).count == 5)
    #expect(done.errors.contains("truncated.png: is cut short"), "\(done.errors)")
    #expect(done.errors.contains("page.jpg: is no JPEG or PNG image, but an HTML page"), "\(done.errors)")
    #expect(done.errors.contains("2 of 7 images could not be read"), "\(done.errors)")
  }

  @Test func noImageIsNoInput() throws {
    let folder = try TemporaryFolder()
    for argument in [folder.path("."), folder.path("none.jpg"), folder.path("*.jpg")] {
      let done = try classify(argument)
      #expect(done.status == 66 && done.output.isEmpty, "\(argument): \(done.status) \(done.errors)")
    }
  }

  @Test func labelsComeFromAFileOrTheMetadata() throws {
    let folder = try TemporaryFolder()
    let names = ["null", "eins", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun"]
    let file = folder.path("labels.txt")
    try (names.joined(separator: "\n") + "\n").write(toFile: file, atomically: true, encoding: .utf8)
    let image = PhotoToolTests.folder + "/1-shows-7.png"
    #expect(try lines(classify(image, "--labels", file).output)[0].predictions[0].label == "sieben")

    let json = folder.path("labels.json")
    try JSONEncoder().encode(names.map { $0.uppercased() }).write(to: URL(filePath: json))
    #expect(try lines(classify(image, "--labels", json).output)[0].predictions[0].label == "SIEBEN")

    // In the metadata of safetensors, and of the rsw file that is made of it
    let labelled = folder.path("labelled.safetensors")
    var options = WriteOptions()
    options.metadata = [("labels", try String(contentsOfFile: json, encoding: .utf8))]
    try Checkpoint(path: PhotoToolTests.model).stateDict().write(to: labelled, options: options)
    let converted = folder.path("labelled.rsw")
    #expect(try Tool.run("convert", labelled, converted).status == 0)
    for model in [labelled, converted] {
      let own = try Tool.run(["classify", model, image] + PhotoToolTests.options)
      #expect(try lines(own.output)[0].predictions[0].label == "SIEBEN", "\(own.errors)")
      let given = try Tool.run(["classify", model, image, "--labels", file] + PhotoToolTests.options)
      #expect(try lines(given.output)[0].predictions[0].label == "sieben", "\(given.errors)")
    }

    try "a\nb\n".write(toFile: file, atomically: true, encoding: .utf8)
    let wrong = try classify(image, "--labels", file)
    #expect(wrong.status == 65 && wrong.errors.contains("has 2 labels, but the model has 10 classes"))
  }

  @Test func featuresHaveARowForEachImage() throws {
    let folder = try TemporaryFolder()
    let bad = Fixtures.path("photos/bad/truncated.jpg")
    let images = [
      PhotoToolTests.folder + "/0-shows-2.png", bad, PhotoToolTests.folder + "/1-shows-7.png",
    ]
    let target = folder.path("features.safetensors")
    let command = ["features", PhotoToolTests.model] + images + PhotoToolTests.options
    let done = try Tool.run(command + ["-o", target])
    #expect(done.status == 65 && done.output.hasPrefix("wrote  \(target): ["), "\(done.output)")
    let file = try Checkpoint(path: target)
    let named = try #require(file.metadata.first { $0.name == "images" }?.value)
    #expect(try JSONDecoder().decode([String].self, from: Data(named.utf8)) == images)
    let tensor = try #require(try file.stateDict()["avgpool"])
    #expect(tensor.shape == [3, 32])
    let values = try tensor.floats()
    #expect(values[32..<64].allSatisfy(\.isNaN) && values[..<32].allSatisfy { $0 >= 0 })

    let again = try Tool.run(command + ["-o", target])
    #expect(again.status == 73, "\(again.errors)")

    let array = folder.path("layer3.npy")
    #expect(try Tool.run(command + ["--at", "layer3", "-o", array]).status == 65)
    #expect(try Tensor(npy: array).shape == [3, 16, 2, 2])
  }

  @Test func preparedImagesAreWhatRunTakes() throws {
    let folder = try TemporaryFolder()
    let (images, logits) = (folder.path("images.npy"), folder.path("logits.npy"))
    let prepared = try Tool.run(
      ["features", PhotoToolTests.model, PhotoToolTests.folder, "--at", "input", "-o", images]
        + PhotoToolTests.options)
    #expect(prepared.status == 0, "\(prepared.errors)")
    let ours = try Tensor(npy: images)
    let theirs = try Tensor(npy: Fixtures.path("digits/images.npy"))
    #expect(ours.shape == [5, 3, 32, 32])
    let errors = try zip(ours.floats(), theirs.floats()).map { abs($0 - $1) }
    #expect((errors.max() ?? 1) <= 1 / 255, "largest error \(errors.max() ?? .nan)")
    #expect(try Tool.run("run", PhotoToolTests.model, "--input", images, "--output", logits).status == 0)
  }

  /// Prepared images of a model, whose weights lie in a file of this name beside a description.
  private func prepared(
    _ name: String, description: (name: String, text: String)? = nil, options: [String] = []
  ) throws -> Tensor {
    let folder = try TemporaryFolder()
    _ = try folder.write(Array(Data(contentsOf: URL(filePath: PhotoToolTests.model))), as: name)
    if let description { _ = try folder.write(Array(description.text.utf8), as: description.name) }
    let output = folder.path("x.npy")
    let done = try Tool.run(
      ["features", folder.path(name), Fixtures.path("photos/good/420.jpg"), "--at", "input", "-o", output]
        + options)
    #expect(done.status == 0, "\(done.errors)")
    return try Tensor(npy: output)
  }

  private static let timm = """
    {"architecture": "resnet18", "pretrained_cfg": {"input_size": [3, 40, 40], "crop_pct": 0.8,
     "interpolation": "bicubic", "mean": [0.5, 0.5, 0.5], "std": [0.25, 0.5, 0.5]}}
    """
  private static let transformers = """
    {"size": {"shortest_edge": 40}, "crop_pct": 0.8, "resample": 3, "image_mean": [0.5, 0.5, 0.5],
     "image_std": [0.25, 0.5, 0.5]}
    """

  @Test func imagesArePreparedAsByThePublisher() throws {
    let sizes = ["--resize", "50", "--crop", "40", "--interpolation", "bicubic"]
    let explicit = try prepared("w.pth", options: sizes + ["--mean", "0.5,0.5,0.5", "--std", "0.25,0.5,0.5"])
    #expect(explicit.shape == [1, 3, 40, 40])
    for (name, text) in [
      ("config.json", PhotoToolTests.timm), ("preprocessor_config.json", PhotoToolTests.transformers),
    ] {
      let described = try prepared("w.pth", description: (name, text))
      #expect(try described.shape == explicit.shape && described.floats() == explicit.floats(), "\(name)")
    }
    #expect(
      try prepared("w.pth").floats()
        == prepared("w.pth", options: ["--resize", "256", "--crop", "224"]).floats())
    let newer = try prepared("resnet50-11ad3fa6.pth")
    #expect(try newer.floats() == prepared("w.pth", options: ["--resize", "232"]).floats())
    #expect(try prepared("resnet18.a3_in1k.pth").shape == [1, 3, 160, 160])
    // A description without sense is none.
    #expect(try prepared("w.pth", description: ("config.json", "{\"pretrained_cfg\": [1]}")).shape[2] == 224)
  }

  @Test(arguments: [
    ["--top", "0"], ["--batch", "0"], ["--resize", "0"], ["--crop", "5000"], ["--mean", "1,2"],
    ["--std", "0,1,1"],
    ["--interpolation", "nearest"], ["--threads", "0"],
  ])
  func optionsThatCannotBeAreUsageErrors(_ options: [String]) throws {
    let done = try Tool.run(["classify", PhotoToolTests.model, PhotoToolTests.folder] + options)
    #expect(done.status == 64, "\(done.errors)")
  }

  @Test func featuresGoToFormatsThatKeepThem() throws {
    let done = try Tool.run("features", PhotoToolTests.model, PhotoToolTests.folder, "-o", "features.pth")
    #expect(done.status == 64 && done.errors.contains(".npy or .safetensors"), "\(done.errors)")
  }
}
