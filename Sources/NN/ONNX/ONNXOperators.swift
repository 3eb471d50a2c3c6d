// The ONNX operators of each operation: https://onnx.ai/onnx/operators/
//
// Rounding up the number of windows is written as padding behind the input. ONNX's own `ceil_mode` counts a
// window that begins behind the input, as PyTorch does not, in some engines only; so it is not used.

import Checkpoints

extension ONNXBuilder {
  /// Adds the operators of a node.
  ///
  /// - Parameters:
  ///   - inputs: the values that it takes, and their shapes.
  ///   - name: what its operator is called, of several the last one.
  ///   - output: what its result is called.
  /// - Throws: ``InputError`` for what ONNX has no operator for, or for parameters that are missing or don't fit.
  mutating func add(
    _ operation: Operation, _ inputs: [ONNXOperand], name: String, output: String
  ) throws(InputError) {
    let x = inputs[0].value
    func only(_ operatorName: String, _ attributes: Attributes = []) -> ONNXNode {
      ONNXNode(
        name: name, operatorName: operatorName, inputs: inputs.map(\.value), output: output,
        attributes: attributes)
    }
    switch operation {
    case .input: break
    case .relu: nodes.append(only("Relu"))
    case .relu6:
      append(
        name, "Clip", [x, constant(name + ".min", [], [0]), constant(name + ".max", [], [6])], output)
    case .sigmoid: nodes.append(only("Sigmoid"))
    case .add: nodes.append(only("Add"))
    case .multiply: nodes.append(only("Mul"))
    case .flatten: nodes.append(only("Flatten", [("axis", .int(1))]))
    case .conv2d(let convolution): try add(convolution, x, name, output)
    case .batchNorm2d(let norm):
      let names = operation.parameterNames
      for name in names { try parameter(name, [norm.channels]) }
      append(name, "BatchNormalization", [x] + names, output, [("epsilon", .float(norm.eps))])
    case .groupNorm(let norm):
      let names = operation.parameterNames
      for name in names { try parameter(name, [norm.channels]) }
      append(
        name, "GroupNormalization", [x] + names, output,
        [("epsilon", .float(norm.eps)), ("num_groups", .int(norm.groups))])
    case .linear(let layer):
      try parameter(layer.weight, [layer.outFeatures, layer.inFeatures])
      if let bias = layer.bias { try parameter(bias, [layer.outFeatures]) }
      append(name, "Gemm", [x] + operation.parameterNames, output, [("transB", .int(1))])
    case .maxPool2d(let window):
      try window.checkPadding()
      nodes.append(only("MaxPool", window.attributes(padding: window.padding, behind: window.paddingBehind)))
    case .avgPool2d(let window, let countIncludePad):
      try addAverage(window, countIncludePad: countIncludePad, x, name, output)
    case .avgPool2dSame(let kernel, let stride):
      // With a kernel that is smaller than the stride, ONNX Runtime reads pixels that lie elsewhere.
      guard kernel >= stride else {
        throw InputError("an average over windows of \(kernel) with a stride of \(stride) is not exported.")
      }
      nodes.append(
        only(
          "AveragePool",
          [
            ("kernel_shape", .ints([kernel, kernel])), ("strides", .ints([stride, stride])),
            ("auto_pad", .text("SAME_UPPER")), ("count_include_pad", .int(1)),
          ]))
    case .adaptiveAvgPool2d(1, 1): nodes.append(only("GlobalAveragePool"))
    case .adaptiveAvgPool2d(let height, let width):
      let kernel = try adaptiveKernel(inputs[0].shape, height, width)
      nodes.append(only("AveragePool", [("kernel_shape", .ints(kernel)), ("strides", .ints(kernel))]))
    case .blurPool2d(let window): try addBlur(window, inputs[0], name, output)
    case .channelConvolution(let convolution): try add(convolution, x, name, output)
    case .subsample(let subsampling): add(subsampling, x, name, output)
    }
  }

  private mutating func add(
    _ convolution: Convolution, _ x: String, _ name: String, _ output: String
  ) throws(InputError) {
    try convolution.checkGroups()
    let (window, groups) = (convolution.window, convolution.groups)
    try parameter(
      convolution.weight,
      [convolution.outChannels, convolution.inChannels / groups, window.kernel, window.kernel])
    if let bias = convolution.bias { try parameter(bias, [convolution.outChannels]) }
    append(
      name, "Conv", [x] + Operation.conv2d(convolution).parameterNames, output,
      window.attributes(padding: window.padding, behind: window.padding) + [("group", .int(groups))])
  }

  private mutating func addAverage(
    _ window: Window, countIncludePad: Bool, _ x: String, _ name: String, _ output: String
  ) throws(InputError) {
    try window.checkPadding()
    var (x, padding, behind) = (x, window.padding, window.paddingBehind)
    let countsPadding = countIncludePad && padding > 0
    if countsPadding, behind > padding {
      // Padding counts, and what lies behind it does not: the first becomes part of the input.
      x = pad(x, spatial: padding, name)
      (padding, behind) = (0, behind - padding)
    }
    append(
      name, "AveragePool", [x], output,
      window.attributes(padding: padding, behind: behind)
        + [("count_include_pad", .int(countsPadding && padding > 0 ? 1 : 0))])
  }

  /// The window and step that give as many means as are wanted.
  private func adaptiveKernel(
    _ shape: [Int?], _ height: Int, _ width: Int
  ) throws(InputError) -> [Int] {
    guard shape.count == 4, let rows = shape[2], let columns = shape[3] else {
      throw InputError(
        "adaptive pooling to \(height) × \(width) is exported for inputs of a fixed size only: give one.")
    }
    guard rows.isMultiple(of: height), columns.isMultiple(of: width) else {
      throw InputError(
        "adaptive pooling from \(rows) × \(columns) to \(height) × \(width) has windows of several sizes, "
          + "for which ONNX has no operator.")
    }
    return [rows / height, columns / width]
  }

  /// Reflecting padding, then a convolution of each channel by itself.
  private mutating func addBlur(
    _ window: Window, _ x: ONNXOperand, _ name: String, _ output: String
  ) throws(InputError) {
    guard x.shape.count == 4, let channels = x.shape[1] else {
      throw InputError("a blur is exported for a known number of channels only.")
    }
    let padded = pad(x.value, spatial: window.padding, name, mode: "reflect")
    let row: [Float] = [1, 2, 1]
    let filter = row.flatMap { vertical in row.map { vertical * $0 / 16 } }
    let weight = constant(
      name + ".filter", [channels, 1, 3, 3], (0..<channels).flatMap { _ in filter })
    append(
      name, "Conv", [padded, weight], output,
      window.attributes(padding: 0, behind: 0) + [("group", .int(channels))])
  }

  /// Channels become the one dimension of a convolution.
  private mutating func add(
    _ convolution: ChannelConvolution, _ x: String, _ name: String, _ output: String
  ) throws(InputError) {
    try parameter(convolution.weight, [1, 1, convolution.kernel])
    let padding = convolution.kernel / 2
    // In a shape, 0 stands for the size that is there, and -1 for what remains.
    let flat = step(name + ".flat", "Reshape", [x, constant(name + ".flat.shape", [0, 1, -1])])
    let mixed = step(
      name + ".mixed", "Conv", [flat, convolution.weight],
      [("kernel_shape", .ints([convolution.kernel])), ("pads", .ints([padding, padding]))])
    append(name, "Reshape", [mixed, constant(name + ".shape", [0, -1, 1, 1])], output)
  }

  private mutating func add(_ subsampling: Subsampling, _ x: String, _ name: String, _ output: String) {
    let (before, added) = (subsampling.channelsBefore, subsampling.outChannels - subsampling.inChannels)
    let pixels = step(
      name + ".pixels", "Slice",
      [
        x, constant(name + ".starts", [0, 0]), constant(name + ".ends", [.max, .max]),
        constant(name + ".axes", [2, 3]),
        constant(name + ".steps", [subsampling.stride, subsampling.stride]),
      ])
    append(
      name, "Pad", [pixels, constant(name + ".padding", [0, before, 0, 0, 0, added - before, 0, 0])], output)
  }

  /// The value padded on all four sides.
  private mutating func pad(
    _ x: String, spatial padding: Int, _ name: String, mode: String = "constant"
  ) -> String {
    let sizes = [0, 0, padding, padding]
    return step(
      name + ".padded", "Pad", [x, constant(name + ".padding", sizes + sizes)], [("mode", .text(mode))])
  }
}

extension Window {
  /// The elements that a kernel spans.
  private var extent: Int { dilation * (kernel - 1) + 1 }

  /// Padding behind the input with which rounding down gives as many windows as there are.
  ///
  /// Rounding up, it is the padding and as much as may be missing for a last window; but not so much that one would
  /// begin behind the input and the padding.
  fileprivate var paddingBehind: Int {
    ceilMode ? min(padding + stride - 1, extent - 1) : padding
  }

  /// - Parameters:
  ///   - padding: above and to the left.
  ///   - behind: below and to the right.
  fileprivate func attributes(padding: Int, behind: Int) -> ONNXBuilder.Attributes {
    var attributes: ONNXBuilder.Attributes = [
      ("kernel_shape", .ints([kernel, kernel])), ("strides", .ints([stride, stride])),
      ("pads", .ints([padding, padding, behind, behind])),
    ]
    if dilation != 1 { attributes.append(("dilations", .ints([dilation, dilation]))) }
    return attributes
  }
}
