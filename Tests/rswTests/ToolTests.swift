// The tool as a process: what it prints, how it ends, what it leaves behind.

import Foundation
import TestSupport
import Testing

@Suite struct ToolTests {
  private let digits = Fixtures.path("digits/resnet18-digits.pth")
  private let images = Fixtures.path("digits/images.npy")

  @Test func convertedModelsRunAsTheirCheckpoints() throws {
    let folder = try TemporaryFolder()
    let converted = try Tool.run("convert", digits, folder.path("d.rsw"))
    #expect(converted.status == 0 && converted.errors.isEmpty, "\(converted.errors)")
    for words in ["torch zip", "resnet18 of width 4, 10 classes", "122 tensors"] {
      #expect(converted.output.contains(words), "\(words)")
    }
    for (model, output) in [(digits, "a.npy"), (folder.path("d.rsw"), "b.npy")] {
      let run = try Tool.run("run", model, "--input", images, "--output", folder.path(output))
      #expect(run.status == 0 && run.errors.isEmpty)
      #expect(run.output == "wrote  \(folder.path(output)): [100, 10]\n")
    }
    #expect(
      try Data(contentsOf: URL(filePath: folder.path("a.npy")))
        == Data(contentsOf: URL(filePath: folder.path("b.npy"))))
    #expect(folder.contents == ["a.npy", "b.npy", "d.rsw"])
  }

  @Test func listingsHaveEveryTensorAndTotals() throws {
    let text = try Tool.run("ls", digits)
    #expect(text.status == 0)
    #expect(text.output.contains("layer3.0.downsample.0.weight"))
    #expect(text.output.hasSuffix("122 tensors, 45,722 elements, 182,968 bytes\n"))
    let json =
      try JSONSerialization.jsonObject(with: Data(Tool.run("ls", digits, "--json").output.utf8))
      as? [String: Any]
    #expect(json?["schema"] as? Int == 1)
    #expect((json?["tensors"] as? [[String: Any]])?.count == 122)
    #expect(json?["bytes"] as? Int == 182_968)
  }

  @Test func infoSaysContainerModelNestingAndPrefix() throws {
    let json =
      try JSONSerialization.jsonObject(
        with: Data(
          Tool.run("info", Fixtures.path("reading/prefix-module-_orig_mod.pth"), "--json").output.utf8))
      as? [String: Any]
    #expect(json?["container"] as? String == "torch zip")
    #expect(json?["protocol"] as? Int == 2)
    #expect(json?["prefix"] as? String == "_orig_mod.module.")
    #expect((json?["architecture"] as? [String: Any])?["variant"] as? String == "resnet18")
    let nested = try Tool.run("info", Fixtures.path("reading/nested-ema.pth"))
    #expect(nested.output.contains("state dict under \"state_dict\""))
    #expect(nested.output.contains("\"state_dict_ema\""))
  }

  @Test func infoSaysWhatRunningNeeds() throws {
    let info = try Tool.run("info", digits)
    #expect(info.output.contains("of packed weights and"), "\(info.output)")
    let json =
      try JSONSerialization.jsonObject(with: Data(Tool.run("info", digits, "--json").output.utf8))
      as? [String: Any]
    #expect(json?["packed_weights_bytes"] as? Int ?? 0 > 0)
    #expect(json?["workspace_bytes"] as? Int ?? 0 > 0)
    // What is no ResNet has no plan.
    #expect(try !Tool.run("info", Fixtures.path("reading/views.pth")).output.contains("packed weights"))
  }

  @Test func benchTimesPassesAndLayers() throws {
    let bench = ["bench", digits, "--repeat", "2", "--size", "32", "32", "--threads", "2"]
    let passes = try Tool.run(bench)
    for words in ["median", "images/s", "GFLOP/s", "% of the", "OpenBLAS core type"] {
      #expect(passes.output.contains(words), "\(words) is not in: \(passes.output)")
    }
    let json =
      try JSONSerialization.jsonObject(with: Data(Tool.run(bench + ["--layers", "--json"]).output.utf8))
      as? [String: Any]
    let layers = try #require(json?["layers"] as? [[String: Any]])
    #expect(layers.first?["name"] as? String == "conv1" && layers.last?["name"] as? String == "fc")
    // Which one is the fastest depends on the CPU's vectors.
    #expect(layers.contains { $0["algorithm"] is String }, "\(layers)")
    for algorithm in ["im2col", "winograd2"] {
      let forced = try Tool.run(bench + ["--layers", "--algorithm", algorithm]).output
      #expect(forced.contains(algorithm), "\(forced)")
    }
  }

  @Test func infoNamesWhatWouldRunCodeElsewhere() throws {
    let info = try Tool.run("info", Fixtures.path("bad/system-as-dict.pth"))
    #expect(info.status == 0)
    for words in [
      "os.system  (DANGEROUS", "nothing was executed", "torch._utils._rebuild_tensor_v2  (known)",
    ] {
      #expect(info.output.contains(words), "\(words)")
    }
    let harmless = try Tool.run("info", Fixtures.path("reading/zip-stored.pth"))
    #expect(!harmless.output.contains("DANGEROUS") && !harmless.output.contains("warning"))
  }

  @Test func infoSaysWriterTiesAndUnusedBytes() throws {
    let json =
      try JSONSerialization.jsonObject(
        with: Data(Tool.run("info", Fixtures.path("reading/views.pth"), "--json").output.utf8))
      as? [String: Any]
    #expect(json?["writer"] is String)
    #expect(json?["unused_bytes"] is Int)
    #expect((json?["shared_memory"] as? [[String]])?.isEmpty == false)
  }

  @Test func membersOfOtherArchivesAreNamedAndOpened() throws {
    let archive = Fixtures.path("reading/member-stored.zip")
    let refused = try Tool.run("ls", archive)
    #expect(refused.status == 65 && refused.errors.contains("\"policy.pth\""))
    #expect(try Tool.run("ls", archive, "--member", "policy.pth").status == 0)
    let missing = try Tool.run("ls", archive, "--member", "nothing.pth")
    #expect(missing.status == 65 && missing.errors.contains("nothing.pth"))
  }

  @Test func aFullDeviceForResultsIsAnError() throws {
    guard FileManager.default.fileExists(atPath: "/dev/full") else { return }
    let process = Process()
    process.executableURL = Tool.url
    process.arguments = ["ls", digits]
    process.standardOutput = FileHandle(forWritingAtPath: "/dev/full")
    let errors = Pipe()
    process.standardError = errors
    try process.run()
    let complaints = String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    #expect(process.terminationStatus == 74 && complaints.contains("No space left"), "\(complaints)")
  }

  @Test func predictionsAreRanked() throws {
    let json =
      try JSONSerialization.jsonObject(
        with: Data(Tool.run("run", digits, "--input", images, "--top", "3", "--json").output.utf8))
      as? [String: Any]
    let predictions = try #require(json?["predictions"] as? [[[String: Any]]])
    #expect(predictions.count == 100)
    for best in predictions {
      let probabilities = best.compactMap { $0["probability"] as? Double }
      #expect(probabilities.count == 3 && probabilities == probabilities.sorted(by: >))
    }
  }

  @Test(
    arguments: [
      (["convert", "bad/truncated.pth", "OUT"], 65, ["truncated.pth", "Get the file again"]),
      (["convert", "bad/missing-record.pth", "OUT"], 65, ["data/1", "Get the file again"]),
      (["convert", "bad/too-many-elements.pth", "OUT"], 65, ["too-many-elements.pth", "tensor \""]),
      (["convert", "bad/view-outside-storage.pth", "OUT"], 65, ["tensor \"", "outside its storage"]),
      (["convert", "bad/wrong-crc.pth", "OUT"], 65, ["record \"", "damaged"]),
      (["convert", "bad/sharing-text-of-bytes.pth", "OUT", "--all"], 65, ["of this size justifies"]),
      (["convert", "bad/html.pth", "OUT"], 65, ["web page", "Get the file again"]),
      (["convert", "bad/empty.pth", "OUT"], 65, ["empty"]),
      (["convert", "bad/not-a-state-dict.pth", "OUT"], 65, ["a string", "model.state_dict()"]),
      (["convert", "reading/nested-two.pth", "OUT"], 65, ["\"generator\", \"discriminator\"", "--key"]),
      (["convert", "reading/dtypes.pth", "OUT"], 65, ["tensor \"", "can't hold"]),
      (["convert", "no-such-file.pth", "OUT"], 66, ["no-such-file.pth", "No such file"]),
      (
        ["convert", "digits/resnet18-digits.pth", "no-such-folder/out.rsw"], 73,
        ["no-such-folder", "can't be created"]
      ),
      (["convert", "digits/resnet18-digits.pth", "digits"], 73, ["folder"]),
      (["ls", "bad/git-lfs.pth"], 65, ["git lfs pull"]),
      (["info", "bad/gzip.pth"], 65, ["gzip"]),
      (
        ["run", "bad/missing-keys.pth", "--input", "digits/images.npy"], 65,
        ["missing-keys.pth", "layer1.0.conv1.weight"]
      ),
      (
        ["run", "bad/shape-mismatch.pth", "--input", "digits/images.npy"], 65,
        ["layer3.0.conv2.weight", "[4, 3, 3, 3]"]
      ),
      (
        ["run", "reading/zip-stored.pth", "--input", "digits/images.npy"], 65,
        ["zip-stored.pth", "no ResNet"]
      ),
      (
        ["run", "digits/resnet18-digits.pth", "--input", "bad/input-wrong-dtype.npy"], 65,
        ["float64", "float32"]
      ),
      (
        ["run", "digits/resnet18-digits.pth", "--input", "bad/input-wrong-shape.npy"], 65,
        ["[1, 1, 32, 32]", "[N, 3, H, W]"]
      ),
      (
        ["run", "digits/resnet18-digits.pth", "--input", "bad/input-3d.npy"], 65,
        ["[3, 32, 32]", "[N, C, H, W]"]
      ),
      (["run", "digits/resnet18-digits.pth", "--input", "bad/truncated.npy"], 65, ["truncated.npy"]),
      (
        [
          "run", "digits/resnet18-digits.pth", "--input", "digits/images.npy", "--output",
          "no-such-folder/y.npy",
        ], 73, ["no-such-folder"]
      ),
      (
        ["run", "digits/resnet18-digits.pth", "--input", "digits/images.npy", "--threads", "0"], 64,
        ["--threads"]
      ),
      (["run", "digits/resnet18-digits.pth"], 64, ["--input"]),
      (["bench", "digits/resnet18-digits.pth", "--batch", "9223372036854775807"], 64, ["--batch"]),
      (["convert", "digits/resnet18-digits.pth", "OUT", "--size", "32", "32"], 64, ["for ONNX"]),
      (["convert", "digits/resnet18-digits.pth", "OUT", "--format", "onnx", "--all"], 64, ["whole ResNet"]),
      (
        ["convert", "digits/resnet18-digits.pth", "OUT", "--format", "onnx", "--size", "0", "32"], 64,
        ["height and a width"]
      ),
      (
        ["convert", "reading/zip-stored.pth", "OUT", "--format", "onnx"], 65, ["zip-stored.pth", "no ResNet"]
      ),
      (["convert", "reading/zip-stored.pth", "OUT", "--fold-bn"], 65, ["zip-stored.pth", "no ResNet"]),
      (["convert", "bad/wrong-crc.pth", "OUT", "--format", "onnx"], 65, ["wrong-crc.pth"]),
      (
        ["convert", "digits/resnet18-digits.pth", "OUT", "--fold-bn", "--to", "huggingface"], 65,
        ["resnet18-digits.pth", "torchvision's names only"]
      ),
      (["frobnicate"], 64, ["frobnicate"]),
    ] as [([String], Int32, [String])])
  func badInputGetsOneSentenceAndItsExitCode(_ arguments: [String], _ status: Int32, _ words: [String]) throws
  {
    let folder = try TemporaryFolder()
    let resolved = arguments.map { argument in
      argument == "OUT"
        ? folder.path("out.rsw")
        : argument.contains("/") || argument.contains(".")
          || argument == "digits" ? Fixtures.path(argument) : argument
    }
    let outcome = try Tool.run(resolved)
    #expect(outcome.status == status, "\(outcome.errors)")
    #expect(outcome.output.isEmpty)
    for word in words { #expect(outcome.errors.contains(word), "\(word) is not in: \(outcome.errors)") }
    #expect(folder.contents.isEmpty, "left behind: \(folder.contents)")
  }
}
