// The messages that an ONNX model consists of, with the numbers of their fields and enumerations:
// https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
//
//   ModelProto  IR version, producer, GraphProto, version of the operators, metadata
//     GraphProto  NodeProto for each operator, TensorProto for each constant, ValueInfoProto for input and output

import Checkpoints

/// An operator with what it takes and gives.
struct ONNXNode: Sendable {
  /// A parameter of an operator.
  enum Attribute: Sendable {
    case int(Int)
    case ints([Int])
    case float(Double)
    case text(String)
  }

  let name: String
  let operatorName: String
  let inputs: [String]
  let output: String
  let attributes: [(name: String, value: Attribute)]

  /// NodeProto
  var message: ProtobufMessage {
    var node = ProtobufMessage()
    for input in inputs { node.append(1, input) }
    node.append(2, output)
    node.append(3, name)
    node.append(4, operatorName)
    for (name, value) in attributes { node.append(5, ONNXNode.message(name, value)) }
    return node
  }

  /// AttributeProto
  private static func message(_ name: String, _ value: Attribute) -> ProtobufMessage {
    var attribute = ProtobufMessage()
    attribute.append(1, name)
    let type: Int
    switch value {
    case .float(let number):
      attribute.append(2, Float(number))
      type = 1
    case .int(let number):
      attribute.append(3, number)
      type = 2
    case .text(let text):
      attribute.append(4, text)
      type = 3
    case .ints(let numbers):
      attribute.append(8, numbers)
      type = 7
    }
    attribute.append(20, type)
    return attribute
  }
}

/// The size of a tensor along one dimension.
enum ONNXDimension: Sendable, Equatable {
  case size(Int)
  /// Any size; what has the same name has the same size.
  case named(String)
  case unknown
}

/// The name, type and shape of the model's input or output, which are float32.
struct ONNXValue: Sendable {
  let name: String
  let shape: [ONNXDimension]

  /// ValueInfoProto
  var message: ProtobufMessage {
    var dimensions = ProtobufMessage()
    for dimension in shape {
      var message = ProtobufMessage()
      switch dimension {
      case .size(let size): message.append(1, size)
      case .named(let name): message.append(2, name)
      case .unknown: break
      }
      dimensions.append(1, message)
    }
    var tensor = ProtobufMessage()
    tensor.append(1, ONNXInitializer.float32)
    tensor.append(2, dimensions)
    var type = ProtobufMessage()
    type.append(1, tensor)
    var value = ProtobufMessage()
    value.append(1, name)
    value.append(2, type)
    return value
  }
}

/// A constant: float32 or int64.
struct ONNXInitializer: Sendable {
  /// Elements that lie in a file of their own.
  struct Place: Sendable {
    /// The name of the file, in the folder of the model.
    let file: String
    let offset: Int
  }

  /// TensorProto.DataType
  static let float32 = 1
  static let int64 = 7

  let name: String
  let tensor: Tensor

  /// TensorProto
  func message(at place: Place?) -> ProtobufMessage {
    var message = ProtobufMessage()
    message.append(1, tensor.shape)
    message.append(2, tensor.dtype == .int64 ? ONNXInitializer.int64 : ONNXInitializer.float32)
    message.append(8, name)
    guard let place else {
      message.append(9, (name, tensor))
      return message
    }
    let entries = [
      ("location", place.file), ("offset", "\(place.offset)"), ("length", "\(tensor.byteCount)"),
    ]
    for (key, value) in entries { message.append(13, ProtobufMessage(key: key, value: value)) }
    message.append(14, 1)  // EXTERNAL
    return message
  }
}

extension ProtobufMessage {
  /// StringStringEntryProto
  init(key: String, value: String) {
    self.init()
    append(1, key)
    append(2, value)
  }
}
