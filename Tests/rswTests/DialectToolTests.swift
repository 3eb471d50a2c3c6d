// What the tool says and does about names, dialects and hints.

import Checkpoints
import Foundation
import TestSupport
import Testing

@Suite struct DialectToolTests {
  private func layout(_ name: String, _ file: String) -> String { Fixtures.path("dialects/\(name)/\(file)") }

  /// The tensors of a file by name.
  private func tensors(_ path: String) throws -> [String: [UInt8]] {
    try Dictionary(
      uniqueKeysWithValues: Checkpoint(path: path).stateDict().map { ($0, try $1.contiguousBytes().array) })
  }

  @Test func infoSaysHowANetworkWasFound() throws {
    let info = try Tool.run("info", layout("moco-v2", "model.pth"))
    #expect(info.status == 0)
    for words in [
      "removed module.encoder_q. from 72 keys", "not taken: the network under module.encoder_k.",
      "no classifier: features of 16",
      "beside the network: module.encoder_q.fc, module.encoder_k, module.queue",
    ] {
      #expect(info.output.contains(words), "\(words) in \(info.output)")
    }
    let json = try Tool.run("info", layout("caffe2-msra", "model.pkl"), "--json")
    for words in [
      "\"dialect\": \"caffe2\"", "\"stride\": \"first\"", "\"left_out\": [\"conv1_b\"]",
      "--set stride=second",
    ] {
      #expect(json.output.contains(words), "\(words)")
    }
  }

  @Test func namesAreWrittenInOtherDialectsAndReadBack() throws {
    let folder = try TemporaryFolder()
    let source = layout("sequential", "model.pth")
    let plain = folder.path("plain.rsw")
    #expect(try Tool.run("convert", source, plain).status == 0)
    let expected = try tensors(plain)
    for dialect in ["huggingface", "detectron2", "mmpretrain", "sequential", "timm"] {
      let (there, back) = (folder.path("\(dialect).rsw"), folder.path("\(dialect)-back.rsw"))
      let written = try Tool.run("convert", plain, there, "--to", dialect)
      #expect(written.status == 0, "\(dialect): \(written.errors)")
      #expect(try Tool.run("convert", there, back).status == 0)
      #expect(try tensors(back) == expected, "\(dialect)")
      if dialect != "timm" { #expect(try tensors(there).keys != expected.keys) }
    }
    // Keras has biases and other axes.
    let keras = folder.path("keras.rsw")
    #expect(try Tool.run("convert", layout("keras", "model.npz"), folder.path("k.rsw")).status == 0)
    #expect(try Tool.run("convert", folder.path("k.rsw"), keras, "--to", "keras").status == 0)
    let original = try tensors(layout("keras", "model.npz"))
    for (name, bytes) in try tensors(keras) { #expect(original[name + ":0"] == bytes, "\(name)") }
    let refused = try Tool.run(
      "convert", layout("keras", "model.npz"), folder.path("no.rsw"), "--to", "caffe2")
    #expect(refused.status == 65 && refused.errors.contains("\"conv1.bias\""))
    #expect(!folder.contents.contains("no.rsw"))
  }

  /// Other names can stand for another stride: what must be said when the file is read is told when it is written.
  @Test(arguments: ["keras", "detectron2"])
  func namesThatImplyAnotherNetworkAreTold(_ dialect: String) throws {
    let folder = try TemporaryFolder()
    let (source, input) = (layout("huggingface", "model.safetensors"), layout("huggingface", "input.npy"))
    let file = folder.path(dialect == "keras" ? "named.npz" : "named.pth")
    let written = try Tool.run("convert", source, file, "--to", dialect)
    #expect(written.status == 0, "\(written.errors)")
    let note = try #require(written.output.split(separator: "\n").last)
    let options = try #require(note.firstRange(of: "read it with ")).upperBound
    func logits(_ arguments: [String]) throws -> [Float] {
      let output = folder.path("logits.npy")
      let run = try Tool.run(["run"] + arguments + ["--input", input, "--output", output, "--force"])
      #expect(run.status == 0, "\(run.errors)")
      return try Tensor(npy: output).floats()
    }
    let expected = try logits([source])
    #expect(try logits([file] + note[options...].split(separator: " ").map(String.init)) == expected)
    #expect(try logits([file]) != expected)
    let recorded = try Tool.run("convert", source, folder.path("named.rsw"), "--to", dialect)
    #expect(recorded.status == 0 && !recorded.output.contains("read it with"))
    #expect(try logits([folder.path("named.rsw")]) == expected)
  }

  @Test func whatLiesBesideTheNetworkIsKept() throws {
    let folder = try TemporaryFolder()
    let source = layout("torchvision-detection", "model.pth")
    let converted = try Tool.run("convert", source, folder.path("out.rsw"))
    #expect(converted.status == 0)
    let (old, new) = (try tensors(source), try tensors(folder.path("out.rsw")))
    #expect(old.count == new.count)
    #expect(new["conv1.weight"] == old["backbone.body.conv1.weight"])
    #expect(new["rpn.head.cls_logits.weight"] == old["rpn.head.cls_logits.weight"])
    let (input, output) = (layout("torchvision-detection", "input.npy"), folder.path("layer4.npy"))
    #expect(
      try Tool.run("run", folder.path("out.rsw"), "--input", input, "--at", "layer4", "--output", output)
        .status == 0)
    let difference = try difference(
      Tensor(npy: output).floats(), Tensor(npy: layout("torchvision-detection", "layer4.npy")).floats(),
      tolerance: 1e-5)
    #expect(difference == nil, "\(difference ?? "")")
  }

  @Test func aDryRunPrintsTheMappingAndWritesNothing() throws {
    let folder = try TemporaryFolder()
    let dry = try Tool.run("convert", layout("keras", "model.npz"), folder.path("out.rsw"), "--dry-run")
    #expect(dry.status == 0 && folder.contents.isEmpty)
    let line = try #require(
      dry.output.split(separator: "\n").first { $0.hasPrefix("conv2_block1_0_conv/kernel:0 ") })
    #expect(line.contains(" layer1.0.downsample.0.weight ") && line.contains("renamed"))
    #expect(try Tool.run("convert", layout("keras", "model.npz"), "--dry-run").output == dry.output)
  }

  @Test func partsOfACheckpointAreChosenByTheirNames() throws {
    let folder = try TemporaryFolder()
    let source = layout("moco-v1", "model.pth")
    let convert = { (options: [String]) in
      try Tool.run(["convert", source, folder.path("out.npz"), "--force"] + options)
    }
    #expect(try convert(["--only", "layer4.*", "--without", "*.num_batches_tracked"]).status == 0)
    let names = try tensors(folder.path("out.npz")).keys
    #expect(!names.isEmpty && names.allSatisfy { $0.hasPrefix("layer4.") && !$0.hasSuffix("tracked") })
    #expect(try convert(["--without", "module.*"]).status == 0)
    #expect(try tensors(folder.path("out.npz")).keys.allSatisfy { !$0.hasPrefix("module.") })
    let nothing = try convert(["--only", "layer9.*"])
    #expect(nothing.status == 65 && nothing.errors.contains("--only"))
  }

  @Test func differencesAreToldByTensor() throws {
    let folder = try TemporaryFolder()
    let source = layout("huggingface", "model.safetensors")
    let (plain, keras) = (folder.path("plain.pth"), folder.path("d2.npz"))
    #expect(try Tool.run("convert", source, plain).status == 0)
    #expect(try Tool.run("convert", source, keras, "--to", "detectron2").status == 0)
    // The same network under three projects' names
    for other in [plain, keras] {
      let same = try Tool.run("diff", source, other)
      #expect(same.status == 0 && same.output == "122 equal, 0 different\n", "\(same.output)\(same.errors)")
    }
    let other = try Tool.run("diff", plain, layout("detectron2", "model.pth"))
    #expect(other.status == 1 && other.output.contains("only in"), "\(other.output)\(other.errors)")
    let part = folder.path("part.rsw")
    #expect(try Tool.run("convert", source, part, "--without", "fc.*").status == 0)
    let missing = try Tool.run("diff", source, part, "--json")
    #expect(missing.status == 1 && missing.output.contains("\"only_in_first\": [\"fc.bias\", \"fc.weight\"]"))
    #expect(try Tool.run("diff", source, "/nonexistent").status == 66)
  }

  @Test func rulesRenameWhatNothingKnows() throws {
    let folder = try TemporaryFolder()
    let odd = folder.path("odd.rsw")
    let hide = ["--map", "layer{s}.{b}.{*}=s{s}/b{b}/{*}", "--map", "conv1.{*}=stem.{*}"]
    let rules = "# back again\ns{s}/b{b}/{*} = layer{s}.{b}.{*}\nstem.{*} = conv1.{*}\n"
    let file = try folder.write(Array(rules.utf8), as: "rules.map")
    let source = layout("data-parallel", "model.pth")
    #expect(try Tool.run("convert", source, folder.path("plain.rsw")).status == 0)
    #expect(try Tool.run(["convert", folder.path("plain.rsw"), odd] + hide).status == 0)
    #expect(try Tool.run("info", odd).output.contains("not recognised"))
    #expect(try Tool.run("convert", odd, folder.path("back.rsw"), "--map-file", file).status == 0)
    #expect(try tensors(folder.path("back.rsw")) == tensors(folder.path("plain.rsw")))
    let run = try Tool.run("run", odd, "--map-file", file, "--input", layout("data-parallel", "input.npy"))
    #expect(run.status == 0 && run.output.contains("probability"))
  }

  @Test func ambiguityIsTold() throws {
    let folder = try TemporaryFolder()
    let source = Fixtures.path("models/resnet50/model.pth")
    let named = folder.path("resnetaa50.pth")
    try FileManager.default.copyItem(atPath: source, toPath: named)
    let byName = try Tool.run("info", named, "--json")
    #expect(byName.output.contains("\"variant\": \"resnetaa50\""))
    let other = folder.path("weights.pth")
    try FileManager.default.copyItem(atPath: source, toPath: other)
    let input = Fixtures.path("models/resnet50/input.npy")
    let open = try Tool.run("run", other, "--input", input)
    #expect(open.status == 0)
    #expect(open.errors.contains("--arch resnetaa50") && open.errors.contains("--set stride=first"))
    let told = try Tool.run("run", other, "--input", input, "--arch", "resnetblur50")
    #expect(told.status == 0 && !told.errors.contains("--arch") && told.output != open.output)
    #expect(
      try Tool.run("convert", other, folder.path("aa.rsw"), "--arch", "resnetaa50", "--set", "stride=first")
        .status == 0)
    let recorded = try Tool.run("info", folder.path("aa.rsw"), "--json").output
    for words in ["\"antialiasing\": \"average\"", "\"stride\": \"first\"", "\"alternatives\": []"] {
      #expect(recorded.contains(words), "\(words)")
    }
  }

  @Test(arguments: [
    (["--set", "stride=third"], 64, "first, second"), (["--set", "stride"], 64, "name=value"),
    (["--set", "colour=red"], 64, "colour"), (["--arch", "alexnet"], 64, "alexnet"),
    (["--map", "a"], 64, "OLD = NEW"),
    (["--arch", "resnet18"], 65, "not those of resnet18"),
    (["--map-file", "/nonexistent"], 66, "/nonexistent"),
    (["--map", "conv1.{*}=bn1.{*}"], 65, "bn1.weight"),
  ])
  func hintsThatCannotBeAreErrors(_ arguments: [String], _ status: Int32, _ words: String) throws {
    let source = Fixtures.path("models/resnet50/model.pth")
    let outcome = try Tool.run(
      ["run", source, "--input", Fixtures.path("models/resnet50/input.npy")] + arguments)
    #expect(outcome.status == status && outcome.errors.contains(words), "\(outcome.errors)")
  }

  @Test func featuresOfSeveralModulesAreWritten() throws {
    let folder = try TemporaryFolder()
    let (model, input) = (
      Fixtures.path("models/resnet18/model.pth"), Fixtures.path("models/resnet18/input.npy")
    )
    let run = try Tool.run(
      "run", model, "--input", input, "--at", "layer1", "--at", "avgpool", "--output", folder.path("f.rsw"))
    #expect(run.status == 0 && run.output.hasPrefix("wrote  \(folder.path("f.rsw")): ["), "\(run.output)")
    let features = try Checkpoint(path: folder.path("f.rsw")).stateDict()
    #expect(features.names == ["layer1", "avgpool"])
    for name in features.names {
      let expected = try Tensor(npy: Fixtures.path("models/resnet18/\(name).npy"))
      #expect(features[name]?.shape == expected.shape)
      let difference = try difference(features[name]?.floats() ?? [], expected.floats(), tolerance: 1e-5)
      #expect(difference == nil, "\(name): \(difference ?? "")")
    }
    // The name of the output says whether it is an array or a file of tensors.
    let logits = folder.path("y.safetensors")
    #expect(try Tool.run("run", model, "--input", input, "--output", logits).status == 0)
    #expect(try Checkpoint(path: logits).stateDict().names == ["logits"])
    let array = folder.path("y")
    #expect(try Tool.run("run", model, "--input", input, "--output", array).status == 0)
    #expect(try Tensor(npy: array).shape == Checkpoint(path: logits).stateDict()["logits"]?.shape)
    #expect(try Tool.run("run", model, "--input", input, "--at", "layer1").status == 64)
    let missing = try Tool.run(
      "run", model, "--input", input, "--at", "layer9", "--output", folder.path("g.npy"))
    #expect(missing.status == 65 && missing.errors.contains("layer9"))
  }
}
