// The tool's convert: what it writes, what it says of it, and what it leaves behind when it can't.

import Foundation
import TestSupport
import Testing

@Suite struct ConvertToolTests {
  private let digits = Fixtures.path("digits/resnet18-digits.pth")
  private let images = Fixtures.path("digits/images.npy")

  @Test(arguments: [
    ("out.safetensors", [], "safetensors"), ("out.PTH", [], "torch zip"), ("out.npz", [], "npz"),
    ("out", [], "rsw"),
    ("out.rsw", ["--format", "torch"], "torch zip"),
  ])
  func theOutputsNameOrFormatSaysWhatIsWritten(_ name: String, _ options: [String], _ container: String)
    throws
  {
    let folder = try TemporaryFolder()
    let converted = try Tool.run(["convert", digits, folder.path(name)] + options)
    #expect(converted.status == 0 && converted.output.contains("122 tensors"), "\(converted.errors)")
    let info = try Tool.run("info", folder.path(name)).output
    let line = info.split(separator: "\n").first { $0.hasPrefix("container ") } ?? ""
    #expect(line.contains(" \(container)"), "\(info)")
    #expect(info.contains("resnet18 of width 4, 10 classes"), "\(info)")
    #expect(folder.contents == [name])
    let run = try Tool.run("run", folder.path(name), "--input", images, "--top", "1")
    #expect(run.output == (try Tool.run("run", digits, "--input", images, "--top", "1").output))
  }

  @Test func convertSaysWhatFewerBitsLose() throws {
    let folder = try TemporaryFolder()
    let converted = try Tool.run("convert", digits, folder.path("half.safetensors"), "--dtype", "f16")
    #expect(converted.status == 0, "\(converted.errors)")
    #expect(converted.output.contains("dtype  62 tensors to float16, "), "\(converted.output)")
    let types = try Tool.run("ls", folder.path("half.safetensors")).output
    #expect(types.contains("float16") && types.contains("float32") && types.contains("int64"))
    let all = try Tool.run(
      "convert", digits, folder.path("all.safetensors"), "--dtype", "bf16", "--dtype-all")
    #expect(all.output.contains("dtype  122 tensors to bfloat16, "), "\(all.output)")
    let run = try Tool.run("run", folder.path("half.safetensors"), "--input", images, "--top", "1")
    #expect(run.status == 0, "\(run.errors)")
  }

  @Test func shardsAreWrittenAndReadAsOne() throws {
    let folder = try TemporaryFolder()
    let converted = try Tool.run(
      "convert", digits, folder.path("d.safetensors"), "--shard", "100kB", "--sync")
    #expect(converted.status == 0, "\(converted.errors)")
    #expect(converted.output.contains("d.safetensors.index.json and the "), "\(converted.output)")
    let same = try Tool.run("diff", digits, folder.path("d.safetensors.index.json"))
    #expect(same.status == 0 && same.output == "122 equal, 0 different\n", "\(same.output)")
  }

  @Test(arguments: [
    (["out.rsw", "--layout", "ohwi"], "keeps PyTorch's layout"), (["out.pth", "--dtype-all"], "--dtype"),
    (["out.pth", "--dtype", "f8"], "f32"), (["out.pth", "--shard", "many"], "shard"),
    (["out.pth", "--shard", "-1GB"], "shard"), (["out.onnx", "--dtype", "f16"], "ONNX"),
  ])
  func optionsThatMakeNoSenseAreRefused(_ arguments: [String], _ words: String) throws {
    let folder = try TemporaryFolder()
    let refused = try Tool.run(["convert", digits, folder.path(arguments[0])] + arguments.dropFirst())
    #expect(refused.status == 64 && refused.errors.contains(words), "\(refused.errors)")
    #expect(folder.contents.isEmpty)
  }

  @Test(arguments: ["out.rsw", "out.safetensors", "out.pth", "out.npz"])
  func foldedModelsRunAsTheirCheckpoints(_ name: String) throws {
    let folder = try TemporaryFolder()
    let converted = try Tool.run("convert", digits, folder.path(name), "--fold-bn")
    #expect(converted.status == 0 && converted.output.contains("42 tensors"), "\(converted.errors)")
    let info = try Tool.run("info", folder.path(name)).output
    #expect(info.contains("resnet18 of width 4, BatchNorm folded into its convolutions"), "\(info)")
    if name.hasSuffix("safetensors") { #expect(info.contains("normalization: folded"), "\(info)") }
    let best = ["--input", images, "--top", "1"]
    #expect(
      try classes(Tool.run(["run", folder.path(name)] + best).output)
        == classes(Tool.run(["run", digits] + best).output))
    let again = try Tool.run("convert", folder.path(name), folder.path("again.rsw"), "--fold-bn")
    #expect(again.status == 65 && again.errors.contains("folded before"), "\(again.errors)")
    #expect(folder.contents == [name])
  }

  /// What is printed before the probabilities.
  private func classes(_ predictions: String) -> [Substring] {
    predictions.split(separator: "\n").map { $0.prefix { $0 != "%" && $0 != "." } }
  }

  @Test func theTableOfFoldingNamesWhatChanges() throws {
    let table = try Tool.run("convert", digits, "--fold-bn", "--dry-run").output
    let rows = table.split(separator: "\n").map { $0.split(separator: " ").map(String.init) }
    #expect(rows.contains { $0.first == "conv1.weight" && $0.last == "folded" }, "\(table)")
    #expect(rows.contains { $0.prefix(2) == ["-", "conv1.bias"] && $0.last == "folded" }, "\(table)")
    #expect(rows.contains { $0.first == "fc.weight" && $0.last != "folded" }, "\(table)")
    #expect(!table.contains("bn1") && table.contains("42 tensors"), "\(table)")
  }

  @Test func modelsAreExportedToONNX() throws {
    let folder = try TemporaryFolder()
    for (name, options, words) in [
      ("plain.onnx", [], "69 operators"), ("folded.ONNX", ["--fold-bn"], "49 operators"),
      ("fixed", ["--format", "onnx", "--batch", "2", "--size", "32", "32"], "69 operators"),
      ("large.onnx", ["--largest-file", "60000"], "69 operators"),
    ] {
      let converted = try Tool.run(["convert", digits, folder.path(name)] + options)
      #expect(converted.status == 0 && converted.output.contains(words), "\(name): \(converted)")
      let content = try Data(contentsOf: URL(filePath: folder.path(name)))
      #expect(content.range(of: Data("BatchNormalization".utf8)) == nil || name != "folded.ONNX")
    }
    #expect(folder.contents == ["fixed", "folded.ONNX", "large.onnx", "large.onnx.data", "plain.onnx"])
    let refused = try Tool.run("convert", digits, folder.path("plain.onnx"))
    #expect(refused.status == 73 && refused.errors.contains("--force"))
    #expect(try Tool.run("convert", digits, folder.path("plain.onnx"), "--force").status == 0)
  }

  @Test func quantizedAndSparseTensorsAreConvertedWhenMadeDense() throws {
    let folder = try TemporaryFolder()
    for name in ["quantized-per-channel", "sparse-coo"] {
      let file = Fixtures.path("reading/\(name).pth")
      let refused = try Tool.run("convert", file, folder.path("out.rsw"))
      #expect(refused.status == 65 && refused.errors.contains("--dense"), "\(refused.errors)")
      #expect(folder.contents.isEmpty)
      #expect(try Tool.run("convert", file, folder.path("\(name).rsw"), "--dense").status == 0)
      #expect(try Tool.run("ls", folder.path("\(name).rsw")).output.contains("float32"))
      try FileManager.default.removeItem(atPath: folder.path("\(name).rsw"))
    }
  }

  @Test func pathsThatCollideAreBothNamed() throws {
    let folder = try TemporaryFolder()
    let outcome = try Tool.run(
      "convert", Fixtures.path("bad/names-that-clash.pth"), folder.path("o.rsw"), "--all")
    #expect(outcome.status == 65)
    #expect(outcome.errors.contains(#"file[1] and file["1"]"#), "\(outcome.errors)")
    #expect(folder.contents.isEmpty)
  }

  /// A conversion of a gibibyte of zeros that has just begun.
  private struct Conversion {
    let folder: TemporaryFolder
    let input: FileHandle
    let headerSize: Int
    let process = Process()
    private let errors = Pipe()

    init(_ tool: URL) throws {
      folder = try TemporaryFolder()
      let size = 1 << 30
      let header = #"{"w":{"dtype":"U8","shape":[\#(size)],"data_offsets":[0,\#(size)]}}"#
      let start =
        withUnsafeBytes(of: UInt64(header.utf8.count).littleEndian) { Array($0) } + Array(header.utf8)
      let path = try folder.write(start, as: "in.safetensors")
      headerSize = start.count
      input = try FileHandle(forUpdating: URL(filePath: path))
      try input.truncate(atOffset: UInt64(headerSize + size))
      process.executableURL = tool
      process.arguments = ["convert", path, folder.path("out.rsw")]
      process.standardOutput = FileHandle.nullDevice
      process.standardError = errors
      try process.run()
      // Long enough for it to begin, and not for a gibibyte to be written
      Thread.sleep(forTimeInterval: 0.1)
    }

    /// What it says until it ends.
    func complaints() -> String {
      let text = String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
      process.waitUntilExit()
      return text
    }
  }

  /// The system tells of it by a signal, in the middle of whatever reads the file.
  @Test func aFileThatShrinksWhileItIsReadIsAnError() throws {
    let conversion = try Conversion(Tool.url)
    try conversion.input.truncate(atOffset: UInt64(conversion.headerSize))
    let complaints = conversion.complaints()
    #expect(conversion.process.terminationReason == .exit)
    // 74 when it was cut while it was read, 65 when the tool opened it later than that
    #expect([74, 65].contains(conversion.process.terminationStatus), "\(complaints)")
    #expect(complaints.contains("cut short") || complaints.contains("Get the file again"), "\(complaints)")
    #expect(conversion.folder.contents == ["in.safetensors"])
  }

  #if os(Linux)  // elsewhere no file is without a name
    @Test func aConversionThatIsKilledLeavesNothingBehind() throws {
      let conversion = try Conversion(Tool.url)
      kill(conversion.process.processIdentifier, SIGKILL)
      _ = conversion.complaints()
      #expect(conversion.process.terminationReason == .uncaughtSignal)
      #expect(conversion.folder.contents == ["in.safetensors"])
    }
  #endif

  @Test func outputNeverReplacesWhatIsNoFile() throws {
    let folder = try TemporaryFolder()
    mkfifo(folder.path("pipe"), 0o600)
    #expect(try Tool.run("run", digits, "--input", images, "--output", folder.path("pipe")).status == 73)
    try FileManager.default.createSymbolicLink(
      atPath: folder.path("link.rsw"), withDestinationPath: "target.rsw")
    #expect(try Tool.run("convert", digits, folder.path("link.rsw")).status == 73)
    _ = try folder.write([1], as: "target.rsw")
    #expect(try Tool.run("convert", digits, folder.path("link.rsw"), "--force").status == 0)
    #expect(
      try FileManager.default.destinationOfSymbolicLink(atPath: folder.path("link.rsw")) == "target.rsw")
    #expect(folder.contents == ["link.rsw", "pipe", "target.rsw"])
  }

  @Test func existingOutputIsKeptWithoutForce() throws {
    let folder = try TemporaryFolder()
    let output = try folder.write([1], as: "out.rsw")
    let refused = try Tool.run("convert", digits, output)
    #expect(refused.status == 73 && refused.errors.contains("--force"))
    #expect(try Data(contentsOf: URL(filePath: output)) == Data([1]))
    #expect(try Tool.run("convert", digits, output, "--force").status == 0)
  }
}
