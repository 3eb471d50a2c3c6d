// Exports a network as an ONNX model (https://onnx.ai/onnx/repo-docs/IR.html): one file, or, where that would be
// larger than protocol buffers may be, a file and one with the weights beside it
// (https://onnx.ai/onnx/repo-docs/ExternalData.html).

public import Checkpoints

/// What an ONNX model says beside what the network computes.
public struct ONNXOptions: Sendable {
  /// What the network is called.
  public var name = "network"
  /// Images of an input; nil for any number.
  public var batch: Int?
  /// Channels of an input.
  public var channels = 3
  /// Height and width of an input; nil for any.
  public var size: (height: Int, width: Int)?
  /// What is noted in the model, by name.
  public var metadata: [(name: String, value: String)] = []
  /// A larger model has its weights in a file beside it. Protocol buffers hold two gigabytes.
  public var largestFile = Int(Int32.max)

  /// Images of any number and size, with three channels.
  public init() {}
}

extension Graph {
  /// The network as an ONNX model, with operators and values called as the modules are.
  ///
  /// ```swift
  /// try model.graph.onnx(model.stateDict).write(to: "resnet50.onnx")
  /// ```
  ///
  /// Its input is called `input`, its output `logits`, or `features` where no fully connected layer gives it. Both are
  /// float32, as are all weights: other floating-point types are converted. The weights keep their names.
  ///
  /// - Parameter stateDict: the parameters, under the names that the graph has for them.
  /// - Throws: ``InputError`` for a parameter that is missing or has another shape, for an input that doesn't fit and
  ///   for what ONNX has no operator for: adaptive pooling to several pixels, where it isn't plain pooling of an
  ///   input of fixed size, and ``AvgPool2dSame`` with a kernel that is smaller than its stride.
  public func onnx(_ stateDict: StateDict, options: ONNXOptions = ONNXOptions()) throws -> ONNXModel {
    try ONNXModel(ONNXBuilder(self, stateDict, options), options)
  }
}

/// A network that is ready to be written as an ONNX model.
public struct ONNXModel: Sendable {
  /// The newest operators of onnx 1.23 and the version of the format that came with them. ONNX Runtime 1.32 and OpenVINO
  /// 2026.4 take them without complaint.
  public static let operatorVersion = 28
  private static let formatVersion = 14

  /// Smaller constants stay in the model, as those that tell a shape must.
  private static let smallestOutside = 1024
  /// Systems map whole pages.
  private static let page = 4096

  private let nodes: [ONNXNode]
  private let initializers: [ONNXInitializer]
  private let inputs: [ONNXValue]
  private let outputs: [ONNXValue]
  private let options: ONNXOptions

  init(_ builder: ONNXBuilder, _ options: ONNXOptions) {
    (nodes, initializers) = (builder.nodes, builder.initializers)
    (inputs, outputs) = (builder.inputs, builder.outputs)
    self.options = options
  }

  /// How many operators it has.
  public var operatorCount: Int { nodes.count }

  /// The files that the model consists of: the one at `path`, and perhaps one with weights beside it.
  package func files(_ path: String) throws(CheckpointError) -> [PlannedFile] {
    let whole = message { _ in nil }
    if whole.byteCount <= options.largestFile { return [PlannedFile(path: path, layout: ONNXLayout(whole))] }

    let file = path + ".data"
    let name = file.split(separator: "/").last.map(String.init) ?? file
    var places: [String: ONNXInitializer.Place] = [:]
    var pieces: [FilePiece] = []
    var end = 0
    for initializer in initializers where initializer.tensor.byteCount >= ONNXModel.smallestOutside {
      let (tensor, page) = (initializer.tensor, ONNXModel.page)
      let offset = (end + page - 1) / page * page
      places[initializer.name] = ONNXInitializer.Place(file: name, offset: offset)
      pieces.append(
        FilePiece(
          name: initializer.name, offset: offset, byteCount: tensor.byteCount, content: .tensor(tensor)))
      end = offset + tensor.byteCount
    }
    let model = message { places[$0.name] }
    guard model.byteCount <= options.largestFile else {
      throw CheckpointError(
        .limitExceeded,
        "takes \(model.byteCount) bytes without its weights, and may take \(options.largestFile): allow more."
      )
    }
    return [
      PlannedFile(path: file, layout: ONNXLayout(pieces)), PlannedFile(path: path, layout: ONNXLayout(model)),
    ]
  }

  /// ModelProto
  ///
  /// - Parameter place: where a constant's elements are, if not in the model.
  private func message(_ place: (ONNXInitializer) -> ONNXInitializer.Place?) -> ProtobufMessage {
    var operators = ProtobufMessage()
    operators.append(1, "")  // ONNX's own
    operators.append(2, ONNXModel.operatorVersion)
    var model = ProtobufMessage()
    model.append(1, ONNXModel.formatVersion)
    model.append(2, "rsw")
    model.append(3, rswVersion)
    model.append(7, graph(place))
    model.append(8, operators)
    for (name, value) in options.metadata { model.append(14, ProtobufMessage(key: name, value: value)) }
    return model
  }

  /// GraphProto
  private func graph(_ place: (ONNXInitializer) -> ONNXInitializer.Place?) -> ProtobufMessage {
    var graph = ProtobufMessage()
    for node in nodes { graph.append(1, node.message) }
    graph.append(2, options.name)
    for initializer in initializers { graph.append(5, initializer.message(at: place(initializer))) }
    for input in inputs { graph.append(11, input.message) }
    for output in outputs { graph.append(12, output.message) }
    return graph
  }
}

/// Where the bytes of a message, or the tensors of a file of weights, go.
struct ONNXLayout: FileLayout {
  let pieces: [FilePiece]
  private let rest: [(offset: Int, bytes: Bytes)]

  /// A file that holds a message.
  init(_ message: ProtobufMessage) {
    var pieces: [FilePiece] = []
    var rest: [(offset: Int, bytes: Bytes)] = []
    var end = 0
    for part in message.parts {
      rest.append((end, Bytes(part.bytes)))
      end += part.bytes.count
      guard let (name, tensor) = part.tensor else { continue }
      pieces.append(
        FilePiece(name: name, offset: end, byteCount: tensor.byteCount, content: .tensor(tensor)))
      end += tensor.byteCount
    }
    (self.pieces, self.rest) = (pieces, rest)
  }

  /// A file of tensors; what lies between them is zero.
  init(_ pieces: [FilePiece]) { (self.pieces, rest) = (pieces, []) }

  func framing(_ checksums: [UInt32]) -> [FileFraming] { rest }
}
