// NumPy's .npy: one array.
//
//   "\x93NUMPY", major, minor (1 byte each)
//   header size: 2 bytes in version 1, 4 in versions 2 and 3, little-endian
//   header: a Python dict literal, {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }
//   the elements
//
// https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html

extension Tensor {
  /// Reads the .npy file at `path`; the elements stay in the mapped file.
  ///
  /// - Throws: ``CheckpointError`` when the file is no .npy file or holds a type that is no ``DType``.
  public init(npy path: String) throws(CheckpointError) {
    do throws(CheckpointError) {
      self = try NPY.read(Bytes(mapping: path))
    } catch {
      throw error.inFile(path)
    }
  }

  /// Writes the tensor as a row-major .npy file, replacing a file that is there.
  ///
  /// - Throws: `.notRepresentable` for types that NumPy has not, `.cannotWrite`.
  public func writeNPY(to path: String) throws(CheckpointError) {
    let header = try NPY.header(self)
    let bytes = try contiguousBytes()
    let output = try OutputFile(path, replacing: true)
    do throws(CheckpointError) {
      try output.write(header, at: 0)
      try output.write(bytes, at: header.count)
      try output.commit()
    } catch {
      output.discard()
      throw error
    }
  }
}

private enum NPY {
  static func read(_ file: Bytes) throws(CheckpointError) -> Tensor {
    guard file.load(UInt8.self, at: 0) == 0x93, file.slice(1, 5)?.hasPrefix("NUMPY") == true else {
      throw CheckpointError(.notACheckpoint, "is no .npy file: write one with numpy.save.")
    }
    var reader = ByteReader(file, at: 6)
    let major = try reader.read(UInt8.self)
    _ = try reader.read(UInt8.self)
    guard (1...3).contains(major) else {
      throw CheckpointError(.unsupported, "is an .npy file of version \(major); 1 to 3 are read.")
    }
    let size = major == 1 ? Int(try reader.read(UInt16.self)) : Int(try reader.read(UInt32.self))
    guard let text = try reader.readBytes(size).utf8, let description = value("descr", in: text),
      let order = value("fortran_order", in: text), order == "True" || order == "False",
      let shape = shape(value("shape", in: text))
    else { throw CheckpointError(.malformed, "its .npy header is damaged. Write it again with numpy.save.") }
    guard let dtype = dtype(description) else {
      throw CheckpointError(
        .unsupported, "holds elements of type \(quoted(description)), which rsw does not read.")
    }
    let data = try reader.readBytes(reader.remaining)
    let storage = Storage(.bytes(data), byteCount: data.count)
    guard order == "True" else { return try Tensor(dtype: dtype, shape: shape, storage: storage) }
    let strides = Array(Tensor.contiguousStrides(shape.reversed()).reversed())
    return try Tensor(dtype: dtype, shape: shape, strides: strides, storage: storage)
  }

  static func header(_ tensor: Tensor) throws(CheckpointError) -> Bytes {
    guard let description = types.first(where: { $0.dtype == tensor.dtype })?.description else {
      throw CheckpointError(.notRepresentable, "NumPy has no \(tensor.dtype).")
    }
    let shape = tensor.shape.map(String.init).joined(separator: ", ") + (tensor.shape.count == 1 ? "," : "")
    var text = "{'descr': '\(description)', 'fortran_order': False, 'shape': (\(shape)), }"
    // Magic, version and size take 10 bytes; the data begins on a boundary of 64.
    let excess = (10 + text.utf8.count + 1) % 64
    text += String(repeating: " ", count: excess == 0 ? 0 : 64 - excess) + "\n"
    let size = text.utf8.count
    return Bytes(
      [0x93] + Array("NUMPY".utf8) + [
        1, 0, UInt8(truncatingIfNeeded: size), UInt8(truncatingIfNeeded: size >> 8),
      ]
        + Array(text.utf8))
  }

  private static let types: [(description: String, dtype: DType)] = [
    ("<f8", .float64), ("<f4", .float32), ("<f2", .float16), ("<i8", .int64), ("<i4", .int32),
    ("<i2", .int16),
    ("|i1", .int8), ("<u8", .uint64), ("<u4", .uint32), ("<u2", .uint16), ("|u1", .uint8), ("|b1", .bool),
    ("<c16", .complex128), ("<c8", .complex64),
  ]

  private static func dtype(_ description: String) -> DType? {
    let name = description.dropFirst()
    // One-byte types have no byte order, whatever the header says.
    return types.first {
      $0.description == description || ($0.description.first == "|" && $0.description.dropFirst() == name)
    }?.dtype
  }

  /// The text of a value in the header's dict: without quotes, or a tuple with its parentheses.
  private static func value(_ name: String, in header: String) -> String? {
    let text = Array(header.utf8)
    let quotedName = Array("'\(name)'".utf8)
    guard let start = text.indices.first(where: { text[$0...].starts(with: quotedName) }) else { return nil }
    let rest = text[(start + quotedName.count)...].drop { $0 == 0x20 || $0 == UInt8(ascii: ":") }
    guard let first = rest.first else { return nil }
    switch first {
    case UInt8(ascii: "'"): return String(decoding: rest.dropFirst().prefix { $0 != first }, as: UTF8.self)
    case UInt8(ascii: "("):
      return String(decoding: rest.dropFirst().prefix { $0 != UInt8(ascii: ")") }, as: UTF8.self)
    default:
      let end: Set<UInt8> = [UInt8(ascii: ","), UInt8(ascii: "}"), 0x20]
      return String(decoding: rest.prefix { !end.contains($0) }, as: UTF8.self)
    }
  }

  private static func shape(_ text: String?) -> [Int]? {
    guard let text else { return nil }
    let parts = text.split(separator: ",").map { $0.filter { $0 != " " } }.filter { !$0.isEmpty }
    let sizes = parts.compactMap { Int($0) }.filter { $0 >= 0 }
    return sizes.count == parts.count ? sizes : nil
  }
}
