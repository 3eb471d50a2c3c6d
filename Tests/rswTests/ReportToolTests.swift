// rsw report as a process: what the page holds, what is refused, what is left behind. tools/check_report.py looks at pages
// in a browser, and compares them with PyTorch.

import Checkpoints
import Foundation
import TestSupport
import Testing

@Suite struct ReportToolTests {
  private let digits = Fixtures.path("digits/resnet18-digits.pth")
  private let images = Fixtures.path("digits/images.npy")

  private func page(_ model: String, _ options: String...) throws -> String {
    let folder = try TemporaryFolder()
    let path = folder.path("report.html")
    let outcome = try Tool.run(["report", model, "-o", path, "--repeat", "1"] + options)
    #expect(outcome.status == 0 && outcome.output.hasPrefix("wrote  \(path): "), "\(outcome.errors)")
    #expect(folder.contents == ["report.html"])
    return try String(contentsOfFile: path, encoding: .utf8)
  }

  @Test func everyLayerIsListed() throws {
    let page = try page(digits)
    let stateDict = try Checkpoint(path: digits).stateDict()
    for layer in Set(stateDict.names.map { $0.split(separator: ".").dropLast().joined(separator: ".") }) {
      #expect(page.contains("<th scope=\"row\"><code>\(layer)</code>"), "\(layer)")
    }
    #expect(page.contains("resnet18 of width 4, 10 classes"))
    #expect(page.utf8.count < 200_000)
  }

  @Test func thePageNeedsNothingElse() throws {
    let page = try page(digits, "--input", images)
    for word in ["http://", "https://", "<link rel=\"stylesheet\"", "@import", "url("] {
      #expect(!page.contains(word), "\(word)")
    }
    #expect(page.contains("default-src 'none'"))
    #expect(page.contains("the first of 100 images"))
    for stage in ["stem", "layer1", "layer2", "layer3", "layer4"] {
      #expect(page.contains("<h3>\(stage) <small>"), "\(stage)")
    }
  }

  @Test func theBestClassesAreThoseOfRun() throws {
    let json =
      try JSONSerialization.jsonObject(
        with: Data(Tool.run("run", digits, "--input", images, "--json").output.utf8)) as? [String: Any]
    let best = try #require((json?["predictions"] as? [[[String: Any]]])?.first)
    let page = try page(digits, "--input", images)
    for prediction in best {
      let (index, probability) = (prediction["class"] as? Int, prediction["probability"] as? Double)
      let percent = String(format: "%.2f", 100 * (try #require(probability)))
      #expect(page.contains("class \(try #require(index))</th><td class=\"n\">\(percent) %"), "\(prediction)")
    }
  }

  @Test(arguments: ["grouped", "resnet50", "wide_resnet50_2"])
  func otherNetworksHavePagesToo(_ name: String) throws {
    let folder = Fixtures.path("models/\(name)")
    let file = try #require(
      FileManager.default.contentsOfDirectory(atPath: folder).first { $0.hasSuffix(".pth") })
    let page = try page("\(folder)/\(file)", "--size", "64", "64")
    #expect(page.contains("layer4.0.conv1") && page.contains("Inside <b>layer4</b>"))
  }

  @Test(
    arguments: [
      (["MODEL", "-o", "OUT", "--input", "bad/input-wrong-dtype.npy"], 65, ["float64", "float32"]),
      (["MODEL", "-o", "OUT", "--input", "bad/input-3d.npy"], 65, ["[3, 32, 32]", "[N, 3, H, W]"]),
      (["MODEL", "-o", "OUT", "--input", "bad/truncated.npy"], 65, ["truncated.npy"]),
      (["MODEL", "-o", "OUT", "--input", "no-such.npy"], 66, ["no-such.npy"]),
      (["MODEL", "-o", "OUT", "--input", "digits/images.npy", "--size", "8", "8"], 64, ["--size"]),
      (["MODEL", "-o", "OUT", "--image", "digits/images.npy"], 65, ["images.npy", "JPEG"]),
      (["MODEL", "-o", "OUT", "--image", "no-such.jpg"], 66, ["no-such.jpg"]),
      (["MODEL", "-o", "OUT", "--image", "a.jpg", "--input", "b.npy"], 64, ["--image and --input"]),
      (["MODEL", "-o", "OUT", "--labels", "digits/labels.npy"], 64, ["--labels"]),
      (["MODEL", "-o", "OUT", "--size", "8"], 64, ["--size"]),
      (["MODEL", "-o", "OUT", "--repeat", "0"], 64, ["--repeat"]),
      (["MODEL", "-o", "OUT", "--threads", "0"], 64, ["--threads"]),
      (["MODEL"], 64, ["--output"]),
      (["MODEL", "-o", "no-such-folder/report.html"], 73, ["no-such-folder"]),
      (["reading/zip-stored.pth", "-o", "OUT"], 65, ["zip-stored.pth", "no ResNet", "rsw ls"]),
      (["bad/missing-keys.pth", "-o", "OUT"], 65, ["layer1.0.conv1.weight"]),
      (["bad/wrong-crc.pth", "-o", "OUT"], 65, ["wrong-crc.pth"]),
      (["no-such-file.pth", "-o", "OUT"], 66, ["no-such-file.pth"]),
    ] as [([String], Int32, [String])])
  func badInputGetsOneSentenceAndNoPage(_ arguments: [String], _ status: Int32, _ words: [String]) throws {
    let folder = try TemporaryFolder()
    let resolved = arguments.map { argument in
      switch argument {
      case "MODEL": digits
      case "OUT": folder.path("report.html")
      default: argument.contains("/") || argument.contains(".") ? Fixtures.path(argument) : argument
      }
    }
    let outcome = try Tool.run(["report"] + resolved)
    #expect(outcome.status == status, "\(outcome.errors)")
    #expect(outcome.output.isEmpty)
    for word in words { #expect(outcome.errors.contains(word), "\(word) is not in: \(outcome.errors)") }
    #expect(folder.contents.isEmpty, "left behind: \(folder.contents)")
  }

  @Test func filesThatAreThereStay() throws {
    let folder = try TemporaryFolder()
    let (model, page) = (folder.path("model.pth"), folder.path("report.html"))
    try FileManager.default.copyItem(atPath: digits, toPath: model)
    try Data("old".utf8).write(to: URL(filePath: page))
    let refused = try Tool.run("report", model, "-o", page)
    #expect(refused.status == 73 && refused.errors.contains("--force"), "\(refused.errors)")
    let itself = try Tool.run("report", model, "-o", model, "--force")
    #expect(itself.status == 73 && itself.errors.contains("the input itself"), "\(itself.errors)")
    #expect(FileManager.default.contentsEqual(atPath: model, andPath: digits))
    #expect(try String(contentsOfFile: page, encoding: .utf8) == "old")
    #expect(try Tool.run("report", model, "-o", page, "--force", "--repeat", "1").status == 0)
    #expect(try String(contentsOfFile: page, encoding: .utf8).hasPrefix("<!doctype html>"))
  }
}
