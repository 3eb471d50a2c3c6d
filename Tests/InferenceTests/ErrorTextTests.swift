// What models say of inputs that don't fit and of parameters that are not there, word for word.

import Checkpoints
import Inference
import TestSupport
import Testing

@Suite struct ErrorTextTests {
  private let model = Model { scope in
    let conv = Conv2d(scope["conv"], 3, 4, kernel: 1)
    return Network { conv($0) }
  }

  @Test func inputsAndModules() throws {
    let image = try Tensor(shape: [1, 3, 1, 1], [1, 2, 3])
    let doubles = try Tensor(
      dtype: .float64, shape: [1, 3, 1, 1], storage: Storage(Bytes([UInt8](repeating: 0, count: 24))))
    #expect(errorText { try model(doubles) } == "the input is float64; the model takes float32.")
    #expect(
      errorText { try model(Tensor(shape: [3], [1, 2, 3])) }
        == "the input has shape [3]; the model takes [N, C, H, W].")
    #expect(
      errorText { try model.outputs(image, at: ["pool"]) }
        == "the model has no module \"pool\" with an output of its own.")
  }

  @Test func sizesThatNoMachineHas() throws {
    for shape in [[Int.max, 3, 1, 1], [1, 3, .max, 2], [1, 3, 1, .max], [1 << 40, 3, 1 << 20, 1 << 20]] {
      let text = "the input has shape \(shape); that is more than can be computed with."
      #expect(errorText { try model.prepare(for: shape) } == text)
      #expect(errorText { try model.memory(for: shape) } == text)
      #expect(errorText { try model.operationCount(for: shape) } == text)
    }
  }

  @Test func modulesInOneScope() throws {
    var model = Model { scope in
      let first = Conv2d(scope["conv"], 3, 4, kernel: 1)
      let second = Conv2d(scope["conv"], 4, 4, kernel: 1)
      return Network { second(first($0)) }
    }
    #expect(
      errorText { try model(Tensor(shape: [1, 3, 1, 1], [1, 2, 3])) }
        == "\"conv.weight\" is declared by two modules: make each in a scope of its own.")
    let error = #expect(throws: LoadError.self) { try model.load(model.stateDict, strict: false) }
    #expect(error?.report.repeated == ["conv.weight", "conv.bias"])
    #expect(
      error?.description
        == "\"conv.weight\" is declared by two modules: make each in a scope of its own. All of them: conv.weight, conv.bias."
    )
  }

  @Test func parameters() throws {
    let image = try Tensor(shape: [1, 3, 1, 1], [1, 2, 3])
    // A module that declares nothing.
    let forgetful = Model { _ in
      Network {
        $0.applying(
          .conv2d(
            Convolution(
              weight: "weight", bias: nil, inChannels: 3, outChannels: 4, window: Window(kernel: 1))))
      }
    }
    #expect(
      errorText { try forgetful(image) } == "tensor \"weight\": is missing, and the model needs it.")
    #expect(
      errorText { try ReferenceInterpreter(forgetful.graph, StateDict()).run(image) }
        == "the model has no parameter \"weight\".")
    #expect(
      errorText { try forgetful.graph.onnx(StateDict()) }
        == "\"conv\" can't be exported: there is no parameter \"weight\".")
  }
}
