// Reads as much of an ONNX file as tests look at, by the numbers of the fields in onnx.proto.

import Foundation

struct ONNXReader {
  struct Node {
    var name = ""
    var operatorName = ""
    var inputs: [String] = []
    var outputs: [String] = []
    var attributes: [String: [Int]] = [:]
    var texts: [String: String] = [:]
    var floats: [String: Float] = [:]
  }

  struct Constant {
    var name = ""
    var shape: [Int] = []
    var type = 0
    var bytes: [UInt8]?
    var place: [String: String] = [:]

    var numbers: [Int] {
      let bytes = bytes ?? []
      return stride(from: 0, to: bytes.count, by: 8).map { start in
        Int(
          truncatingIfNeeded: (0..<8).reduce(UInt64(0)) { $0 | UInt64(bytes[start + $1]) << UInt64(8 * $1) })
      }
    }
  }

  /// The value of a field.
  private enum Field {
    case number(Int)
    case bytes([UInt8])
    case fourBytes(UInt32)
  }

  private(set) var formatVersion = 0
  private(set) var operatorVersion = 0
  private(set) var producer: [String] = []
  private(set) var metadata: [String: String] = [:]
  private(set) var graphName = ""
  private(set) var nodes: [Node] = []
  private(set) var constants: [Constant] = []
  /// Names and dimensions: a size, a name, or nothing.
  private(set) var inputs: [(name: String, shape: [String])] = []
  private(set) var outputs: [(name: String, shape: [String])] = []

  init(_ path: String) throws {
    for (field, value) in ONNXReader.fields([UInt8](try Data(contentsOf: URL(filePath: path)))) {
      switch (field, value) {
      case (1, .number(let version)): formatVersion = version
      case (2, .bytes(let text)), (3, .bytes(let text)):
        producer.append(String(decoding: text, as: UTF8.self))
      case (7, .bytes(let graph)): read(graph)
      case (8, .bytes(let operators)):
        for case (2, .number(let version)) in ONNXReader.fields(operators) { operatorVersion = version }
      case (14, .bytes(let entry)):
        let (key, text) = ONNXReader.entry(entry)
        metadata[key] = text
      default: break
      }
    }
  }

  func constant(_ name: String) -> Constant? { constants.first { $0.name == name } }
  func node(_ name: String) -> Node? { nodes.first { $0.name == name } }

  private mutating func read(_ graph: [UInt8]) {
    for case (let field, .bytes(let bytes)) in ONNXReader.fields(graph) {
      switch field {
      case 1: nodes.append(ONNXReader.node(bytes))
      case 2: graphName = String(decoding: bytes, as: UTF8.self)
      case 5: constants.append(ONNXReader.constant(bytes))
      case 11: inputs.append(ONNXReader.value(bytes))
      case 12: outputs.append(ONNXReader.value(bytes))
      default: break
      }
    }
  }

  private static func node(_ bytes: [UInt8]) -> Node {
    var node = Node()
    for case (let field, .bytes(let bytes)) in fields(bytes) {
      let text = String(decoding: bytes, as: UTF8.self)
      switch field {
      case 1: node.inputs.append(text)
      case 2: node.outputs.append(text)
      case 3: node.name = text
      case 4: node.operatorName = text
      case 5: read(attribute: bytes, into: &node)
      default: break
      }
    }
    return node
  }

  private static func read(attribute: [UInt8], into node: inout Node) {
    var name = ""
    for (field, value) in fields(attribute) {
      switch (field, value) {
      case (1, .bytes(let text)): name = String(decoding: text, as: UTF8.self)
      case (2, .fourBytes(let bits)): node.floats[name] = Float(bitPattern: bits)
      case (3, .number(let number)): node.attributes[name] = [number]
      case (4, .bytes(let text)): node.texts[name] = String(decoding: text, as: UTF8.self)
      case (8, .bytes(let packed)): node.attributes[name] = numbers(packed)
      default: break
      }
    }
  }

  private static func constant(_ bytes: [UInt8]) -> Constant {
    var constant = Constant()
    for (field, value) in fields(bytes) {
      switch (field, value) {
      case (1, .bytes(let packed)): constant.shape = numbers(packed)
      case (2, .number(let type)): constant.type = type
      case (8, .bytes(let text)): constant.name = String(decoding: text, as: UTF8.self)
      case (9, .bytes(let raw)): constant.bytes = raw
      case (13, .bytes(let bytes)):
        let (key, text) = entry(bytes)
        constant.place[key] = text
      case (14, .number(let location)): constant.place["data_location"] = String(location)
      default: break
      }
    }
    return constant
  }

  private static func value(_ bytes: [UInt8]) -> (name: String, shape: [String]) {
    var (name, shape) = ("", [String]())
    for case (let field, .bytes(let bytes)) in fields(bytes) {
      if field == 1 { name = String(decoding: bytes, as: UTF8.self) }
      guard field == 2 else { continue }
      for case (1, .bytes(let tensor)) in fields(bytes) {
        for case (2, .bytes(let dimensions)) in fields(tensor) {
          for case (1, .bytes(let dimension)) in fields(dimensions) {
            var text = ""
            for (_, value) in fields(dimension) {
              if case .number(let size) = value { text = String(size) }
              if case .bytes(let name) = value { text = String(decoding: name, as: UTF8.self) }
            }
            shape.append(text)
          }
        }
      }
    }
    return (name, shape)
  }

  private static func entry(_ bytes: [UInt8]) -> (key: String, value: String) {
    var texts = ["", ""]
    for case (let field, .bytes(let text)) in fields(bytes) {
      texts[field - 1] = String(decoding: text, as: UTF8.self)
    }
    return (texts[0], texts[1])
  }

  // MARK: The wire format

  private static func fields(_ bytes: [UInt8]) -> [(Int, Field)] {
    var fields: [(Int, Field)] = []
    var rest = bytes[...]
    while !rest.isEmpty {
      let tag = varint(&rest)
      switch tag & 7 {
      case 0: fields.append((tag >> 3, .number(varint(&rest))))
      case 2:
        let count = varint(&rest)
        fields.append((tag >> 3, .bytes([UInt8](rest.prefix(count)))))
        rest = rest.dropFirst(count)
      default:
        let bits = rest.prefix(4).reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        fields.append((tag >> 3, .fourBytes(bits)))
        rest = rest.dropFirst(4)
      }
    }
    return fields
  }

  private static func numbers(_ packed: [UInt8]) -> [Int] {
    var rest = packed[...]
    var numbers: [Int] = []
    while !rest.isEmpty { numbers.append(varint(&rest)) }
    return numbers
  }

  private static func varint(_ rest: inout ArraySlice<UInt8>) -> Int {
    var (number, shift) = (UInt64(0), UInt64(0))
    while let byte = rest.popFirst() {
      number |= UInt64(byte & 0x7F) << shift
      if byte < 0x80 { break }
      shift += 7
    }
    return Int(bitPattern: UInt(number))
  }
}
