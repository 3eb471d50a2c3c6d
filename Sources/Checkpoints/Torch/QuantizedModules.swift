// The modules of torch.ao.nn.quantized, which keep their weights packed for one CPU: what their
// `_save_to_state_dict` lists, as far as it can be told from the pickle.
//
//   Conv1d …      pickled as a tuple, its state:
//                 (in_channels, out_channels, kernel_size, stride, padding, dilation, transposed,
//                 output_padding, groups, padding_mode, weight, bias, scale, zero_point, training)
//   Linear        scale and zero_point are numbers among its attributes, listed as tensors; its child
//                 `_packed_params` lists a tuple (weight, bias), which is no tensor
//   QFunctional   scale and zero_point in the same way
//
// torch/ao/nn/quantized/modules/conv.py, linear.py, functional_modules.py

extension PickledModule {
  private static let weight = 10
  private static let numberCount = 14

  /// A convolution, from its state.
  init(quantizedConvolution state: [PickleValue]) {
    for (name, value) in zip(["weight", "bias"], state[PickledModule.weight...]) where value != .none {
      tensors.append(Member(name: name, value: value))
    }
    for (name, value) in zip(["scale", "zero_point"], state[(PickledModule.weight + 2)...]) {
      tensors.append(Member(name: name, value: value, isNumber: true))
    }
  }

  /// Whether `state` has what a quantized convolution's has.
  fileprivate static func isQuantizedConvolution(_ state: [PickleValue]) -> Bool {
    guard state.count >= numberCount, case .float = state[weight + 2], case .int = state[weight + 3] else {
      return false
    }
    return true
  }
}

extension TensorBuilder {
  /// The state of a quantized convolution; nil for everything else.
  func quantizedConvolution(_ object: PickleObject, _ className: String) -> [PickleValue]? {
    guard isQuantized(className), case .tuple(let state)? = object.state.flatMap(heap.node),
      PickledModule.isQuantizedConvolution(state), isTensor(state[10])
    else { return nil }
    return state
  }

  /// Adds what the class of a quantized module lists beside parameters and buffers.
  func addQuantizedMembers(
    of attributes: PickleEntries, className: String?, to module: inout PickledModule
  ) throws(CheckpointError) {
    guard let className, isQuantized(className) else { return }
    let name = className.split(separator: ".").last ?? ""
    if name == "QFunctional" || name.hasPrefix("Linear") && !name.hasSuffix("PackedParams") {
      for number in ["scale", "zero_point"] {
        guard let value = pickle.value(number, in: attributes) else { continue }
        switch value {
        case .int, .float:
          module.tensors.append(PickledModule.Member(name: number, value: value, isNumber: true))
        default: break
        }
      }
      module.others.removeAll { $0.name == "scale" || $0.name == "zero_point" }
    }
    module.packed += module.others
  }

  /// Whether a class is one of the quantized modules, which have moved several times.
  private func isQuantized(_ className: String) -> Bool {
    guard className.hasPrefix("torch.") else { return false }
    return [
      "torch.ao.nn.quantized.", "torch.nn.quantized.", "torch.ao.nn.intrinsic.quantized.",
      "torch.nn.intrinsic.quantized.", "torch.ao.nn.sparse.quantized.",
    ].contains { className.hasPrefix($0) }
  }
}
