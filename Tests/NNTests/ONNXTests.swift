// What an ONNX model says: operators, names, shapes, and where its weights lie. That engines compute with it what
// PyTorch does is for tools/compare_onnx.py.

import Checkpoints
import Foundation
import NN
import TestSupport
import Testing

@Suite struct ONNXTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  /// A block with a shortcut, in modules within modules.
  private struct Block: Module {
    let path: String
    let conv: Conv2d, bn: BatchNorm2d, downsample: Sequential, same: Identity

    init(_ scope: Scope) {
      path = scope.path
      conv = Conv2d(scope["conv"], 4, 6, kernel: 3, padding: 1, bias: false)
      bn = BatchNorm2d(scope["bn"], 6)
      downsample = Sequential(
        scope["downsample"], [{ Conv2d($0, 4, 6, kernel: 1) }, { BatchNorm2d($0, 6) }])
      same = Identity(scope["same"])
    }

    func forward(_ x: Value) -> Value { relu(same(relu(bn(conv(x)))) + downsample(x)) }
  }

  /// The model of a network whose parameters have their initial values.
  private func export(
    _ options: ONNXOptions = ONNXOptions(), as name: String = "model.onnx", dtype: DType = .float32,
    _ build: (Scope) -> (Value) -> Value
  ) throws -> ONNXReader {
    let scope = Scope()
    let network = build(scope)
    var stateDict = StateDict()
    for parameter in scope.parameters {
      var tensor = try parameter.initialTensor(seed: 1)
      if dtype == .float64 {
        let bytes = try tensor.floats().flatMap { withUnsafeBytes(of: Double($0)) { [UInt8]($0) } }
        tensor = try Tensor(dtype: dtype, shape: tensor.shape, storage: Storage(Bytes(bytes)))
      }
      try stateDict.append(parameter.name, tensor)
    }
    let path = folder.path(name)
    var writing = WriteOptions()
    writing.replacing = true
    try Graph(recording: network).onnx(stateDict, options: options).write(to: path, options: writing)
    return try ONNXReader(path)
  }

  private func small(_ scope: Scope) -> (Value) -> Value {
    let stem = Conv2d(scope["stem"], 3, 4, kernel: 3, stride: 2, padding: 1)
    let blocks = Sequential(scope["layer1"], [{ Block($0) }])
    let (pool, fc) = (AdaptiveAvgPool2d(scope["pool"]), Linear(scope["fc"], 6, 5))
    return { fc(flatten(pool(blocks(relu(relu(stem($0))))))) }
  }

  @Test func operatorsAndValuesAreCalledAsTheirModules() throws {
    let model = try export { small($0) }
    #expect(
      model.nodes.map { "\($0.operatorName) \($0.name) \($0.outputs[0])" } == [
        "Conv stem stem", "Relu relu relu", "Relu relu_1 relu_1",
        "Conv layer1.0.conv layer1.0.conv", "BatchNormalization layer1.0.bn layer1.0.bn",
        "Relu layer1.0.relu layer1.0.relu", "Conv layer1.0.downsample.0 layer1.0.downsample.0",
        "BatchNormalization layer1.0.downsample.1 layer1.0.downsample", "Add layer1.0.add layer1.0.add",
        "Relu layer1.0.relu_1 layer1", "GlobalAveragePool pool pool", "Flatten flatten flatten",
        "Gemm fc logits",
      ])
    #expect(model.nodes[0].inputs == ["input", "stem.weight", "stem.bias"])
    #expect(model.nodes[8].inputs == ["layer1.0.relu", "layer1.0.downsample"])
    #expect(
      model.nodes[4].inputs
        == ["layer1.0.conv"] + ["weight", "bias", "running_mean", "running_var"].map { "layer1.0.bn.\($0)" })
    #expect(model.node("layer1.0.bn")?.floats["epsilon"] == 1e-5)
    #expect(model.constant("layer1.0.bn.num_batches_tracked") == nil)
  }

  @Test func theModelSaysWhatItIs() throws {
    var options = ONNXOptions()
    options.name = "small"
    options.metadata = [("note", "é")]
    let model = try export(options) { small($0) }
    #expect(model.graphName == "small" && model.metadata == ["note": "é"])
    #expect(model.producer == ["rsw", rswVersion])
    #expect(model.operatorVersion == ONNXModel.operatorVersion && model.formatVersion == 14)
  }

  @Test func inputsAreOfAnySizeUnlessItIsSaid() throws {
    var options = ONNXOptions()
    func shapes() throws -> [[String]] {
      let model = try export(options) { small($0) }
      #expect(model.inputs.map(\.name) == ["input"] && model.outputs.map(\.name) == ["logits"])
      return [model.inputs[0].shape, model.outputs[0].shape]
    }
    #expect(try shapes() == [["batch", "3", "height", "width"], ["batch", "5"]])
    options.size = (20, 30)
    #expect(try shapes() == [["batch", "3", "20", "30"], ["batch", "5"]])
    options.batch = 7
    #expect(try shapes() == [["7", "3", "20", "30"], ["7", "5"]])
    options.size = nil
    #expect(try shapes() == [["7", "3", "height", "width"], ["7", "5"]])

    let features = try export { scope in
      let conv = Conv2d(scope["conv"], 3, 4, kernel: 3)
      return { conv($0) }
    }
    #expect(features.outputs.map(\.name) == ["features"])
    #expect(features.outputs[0].shape == ["batch", "4", "", ""])
    let nothing = try export { _ in { $0 } }
    #expect(nothing.nodes.map(\.operatorName) == ["Identity"])
    #expect(nothing.outputs[0].shape == ["batch", "3", "", ""])
  }

  @Test func weightsAreThoseOfTheStateDict() throws {
    for dtype in [DType.float32, .float64] {
      let model = try export(dtype: dtype) { small($0) }
      let scope = Scope()
      _ = small(scope)
      for parameter in scope.parameters where parameter.dtype == .float32 {
        let constant = try #require(model.constant(parameter.name))
        #expect(constant.shape == parameter.shape && constant.type == 1)
        #expect(try constant.bytes == parameter.initialTensor(seed: 1).contiguousBytes().array)
      }
    }
  }

  @Test func whatTakesSeveralOperatorsHasOnesOnTheWay() throws {
    let model = try export { scope in
      let conv = Conv2d(scope["conv"], 3, 4, kernel: 3, stride: 2, padding: 2, dilation: 2, groups: 1)
      let norm = GroupNorm(scope["norm"], 4, groups: 2)
      let (blur, eca) = (BlurPool2d(scope["blur"]), EfficientChannelAttention(scope["eca"], kernel: 5))
      let se = SqueezeExcitation(scope["se"], 4, reduced: 2)
      let shortcut = PaddedShortcut(scope["shortcut"], stride: 2, inChannels: 4, outChannels: 7)
      let same = AvgPool2dSame(scope["same"], kernel: 2, stride: 1)
      return { same(shortcut(se(eca(blur(norm(conv($0))))))) }
    }
    #expect(
      model.nodes.map { "\($0.operatorName) \($0.name)" } == [
        "Conv conv", "GroupNormalization norm", "Pad blur.padded", "Conv blur",
        "GlobalAveragePool eca.avgpool",
        "Reshape eca.conv.flat", "Conv eca.conv.mixed", "Reshape eca.conv", "Sigmoid eca.sigmoid",
        "Mul eca.mul",
        "GlobalAveragePool se.avgpool", "Conv se.fc1", "Relu se.relu", "Conv se.fc2", "Sigmoid se.sigmoid",
        "Mul se.mul", "Slice shortcut.pixels", "Pad shortcut", "AveragePool same",
      ])
    #expect(model.node("conv")?.attributes["dilations"] == [2, 2])
    #expect(model.node("norm")?.attributes["num_groups"] == [2])
    #expect(model.node("blur.padded")?.texts["mode"] == "reflect")
    #expect(model.constant("blur.padding")?.numbers == [0, 0, 1, 1, 0, 0, 1, 1])
    #expect(model.constant("blur.filter")?.shape == [4, 1, 3, 3])
    #expect(model.node("eca.conv.mixed")?.attributes["pads"] == [2, 2])
    #expect(model.node("eca.mul")?.outputs == ["eca"])
    #expect(model.constant("shortcut.padding")?.numbers == [0, 1, 0, 0, 0, 2, 0, 0])
    #expect(model.constant("shortcut.ends")?.numbers == [.max, .max])
  }

  @Test func boundsOfReLU6AreConstants() throws {
    let model = try export { scope in
      let (conv, act) = (Conv2d(scope["conv"], 3, 6, kernel: 3, groups: 3), ReLU6(scope["act"]))
      let drop = Dropout(scope["drop"], p: 0.2)
      return { drop(act(conv($0))) }
    }
    #expect(model.nodes.map { "\($0.operatorName) \($0.name)" } == ["Conv conv", "Clip act"])
    #expect(model.node("conv")?.attributes["group"] == [3])
    #expect(model.node("act")?.inputs == ["conv", "act.min", "act.max"])
    let ceiling = try #require(model.constant("act.max"))
    #expect(ceiling.shape == [] && ceiling.type == 1 && ceiling.bytes == [0, 0, 0xC0, 0x40])
  }

  @Test func namesAreGivenOnce() throws {
    let model = try export { scope in
      // Modules with the names of the input, the output and another's constant.
      let (first, second) = (ReLU(scope["input"]), ReLU(scope["features"]))
      let (blur, other) = (BlurPool2d(scope["blur"]), Conv2d(scope["blur.padding"], 3, 3, kernel: 1))
      return { x in second(other(blur(blur(first(x))))) + x }
    }
    let values = model.nodes.flatMap(\.outputs) + model.constants.map(\.name) + ["input"]
    #expect(Set(values).count == values.count, "\(values)")
    #expect(Set(model.nodes.map(\.name)).count == model.nodes.count)
    #expect(model.nodes.last?.outputs == ["features"])
  }

  /// Rounding down with this padding gives exactly the windows that rounding up gives.
  @Test func paddingBehindTheInputStandsForRoundingUp() throws {
    for kernel in 1...5 {
      for (stride, padding) in (1...4).flatMap({ stride in (0...kernel / 2).map { (stride, $0) } }) {
        let model = try export { scope in
          let pool = MaxPool2d(
            scope["pool"], kernel: kernel, stride: stride, padding: padding, ceilMode: true)
          return { pool($0) }
        }
        let pads = try #require(model.node("pool")?.attributes["pads"])
        #expect(pads[0] == padding && pads[1] == padding && pads[2] == pads[3] && pads[2] < max(kernel, 1))
        let window = Window(kernel: kernel, stride: stride, padding: padding, ceilMode: true)
        for size in kernel...20 {
          let count = (size + padding + pads[2] - kernel) / stride + 1
          #expect(count == window.count(size), "\(window) over \(size)")
        }
      }
    }
  }

  @Test func paddingCountsAsFarAsItShould() throws {
    func average(_ padding: Int, ceil: Bool, counts: Bool) throws -> ONNXReader {
      try export { scope in
        let pool = AvgPool2d(
          scope["pool"], kernel: 3, stride: 2, padding: padding, ceilMode: ceil, countIncludePad: counts)
        return { pool($0) }
      }
    }
    for (padding, ceil, counts, pads, flag) in [
      (0, false, true, [0, 0, 0, 0], 0), (1, false, true, [1, 1, 1, 1], 1),
      (1, false, false, [1, 1, 1, 1], 0),
      (0, true, true, [0, 0, 1, 1], 0), (1, true, false, [1, 1, 2, 2], 0),
    ] {
      let node = try average(padding, ceil: ceil, counts: counts).node("pool")
      #expect(node?.attributes["pads"] == pads && node?.attributes["count_include_pad"] == [flag])
    }
    // Padding counts, what lies behind it does not.
    let model = try average(1, ceil: true, counts: true)
    #expect(model.nodes.map(\.operatorName) == ["Pad", "AveragePool"])
    #expect(model.constant("pool.padding")?.numbers == [0, 0, 1, 1, 0, 0, 1, 1])
    #expect(model.node("pool")?.attributes["pads"] == [0, 0, 1, 1])
    #expect(model.node("pool")?.attributes["count_include_pad"] == [0])
  }

  @Test func adaptivePoolingOfAFixedSizeIsPlainPooling() throws {
    var options = ONNXOptions()
    options.size = (12, 20)
    let model = try export(options) { scope in
      let pool = AdaptiveAvgPool2d(scope["pool"], (3, 4))
      return { pool($0) }
    }
    #expect(model.node("pool")?.operatorName == "AveragePool")
    #expect(model.node("pool")?.attributes == ["kernel_shape": [4, 5], "strides": [4, 5]])
  }

  @Test func whatHasNoOperatorIsAnError() throws {
    var fixed = ONNXOptions()
    fixed.size = (12, 20)
    let cases: [(String, ONNXOptions, (Scope) -> any Module)] = [
      ("fixed size", ONNXOptions(), { AdaptiveAvgPool2d($0["pool"], (3, 4)) }),
      ("several sizes", fixed, { AdaptiveAvgPool2d($0["pool"], (5, 4)) }),
      ("stride of 3", ONNXOptions(), { AvgPool2dSame($0["pool"], kernel: 2, stride: 3) }),
      ("half", ONNXOptions(), { MaxPool2d($0["pool"], kernel: 3, padding: 2) }),
      ("3 channels arrive where 4", ONNXOptions(), { Conv2d($0["pool"], 4, 4, kernel: 1) }),
      ("smaller than the window", fixed, { MaxPool2d($0["pool"], kernel: 15) }),
    ]
    for (text, options, make) in cases {
      let error = #expect(throws: InputError.self) {
        try export(options, as: "no.onnx") { scope in
          let module = make(scope)
          return { module($0) }
        }
      }
      #expect(error?.description.contains(text) == true, "\(error?.description ?? "")")
    }
    #expect(folder.contents.isEmpty)
  }

  @Test func parametersHaveToBeThere() throws {
    let scope = Scope()
    let conv = Conv2d(scope["conv"], 3, 4, kernel: 1, bias: false)
    let graph = Graph(recording: { conv($0) })
    var stateDict = StateDict()
    #expect(throws: InputError.self) { try graph.onnx(stateDict) }
    stateDict.update("conv.weight", try Tensor(shape: [4, 3, 1], [Float](repeating: 0, count: 12)))
    #expect(throws: InputError.self) { try graph.onnx(stateDict) }
    let complex = Storage(Bytes([UInt8](repeating: 0, count: 96)))
    stateDict.update("conv.weight", try Tensor(dtype: .complex64, shape: [4, 3, 1, 1], storage: complex))
    #expect(throws: InputError.self) { try graph.onnx(stateDict) }
    stateDict.update("conv.weight", try Tensor(shape: [4, 3, 1, 1], [Float](repeating: 0, count: 12)))
    try graph.onnx(stateDict).write(to: folder.path("model.onnx"))
  }

  @Test func largeModelsHaveTheirWeightsBesideThem() throws {
    var options = ONNXOptions()
    let whole = try export(options) { small($0) }
    #expect(folder.contents == ["model.onnx"])
    // Only the larger weights are worth it.
    func wide(_ scope: Scope) -> (Value) -> Value {
      let (a, b) = (Conv2d(scope["a"], 3, 64, kernel: 3), Conv2d(scope["b"], 64, 8, kernel: 3))
      return { b(a($0)) }
    }
    options.largestFile = 4000
    let model = try export(options, as: "wide.onnx") { wide($0) }
    #expect(folder.contents == ["model.onnx", "wide.onnx", "wide.onnx.data"])
    let data = [UInt8](try Data(contentsOf: URL(filePath: folder.path("wide.onnx.data"))))
    let scope = Scope()
    _ = wide(scope)
    for parameter in scope.parameters {
      let constant = try #require(model.constant(parameter.name))
      let expected = try parameter.initialTensor(seed: 1).contiguousBytes().array
      guard parameter.shape.count > 1 else {
        #expect(constant.bytes == expected && constant.place.isEmpty)
        continue
      }
      #expect(constant.bytes == nil && constant.shape == parameter.shape)
      #expect(constant.place["location"] == "wide.onnx.data" && constant.place["data_location"] == "1")
      let offset = try #require(constant.place["offset"].flatMap { Int($0) })
      #expect(offset.isMultiple(of: 4096) && constant.place["length"] == "\(expected.count)")
      #expect([UInt8](data[offset..<offset + expected.count]) == expected)
    }
    #expect(whole.constants.allSatisfy { $0.place.isEmpty })

    options.largestFile = 100
    #expect(throws: CheckpointError.self) { try export(options, as: "tiny.onnx") { wide($0) } }
    #expect(folder.contents == ["model.onnx", "wide.onnx", "wide.onnx.data"])
  }
}
