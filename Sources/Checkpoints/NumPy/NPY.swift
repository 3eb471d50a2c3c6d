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

  /// Writes the tensor as a row-major .npy file.
  ///
  /// - Parameter replacing: whether a file that is there is replaced; else it is an error.
  /// - Throws: `.notRepresentable` for types that NumPy has not, `.cannotWrite`.
  public func writeNPY(to path: String, replacing: Bool = true) throws(CheckpointError) {
    let header = try NPY.header(self)
    let bytes = try contiguousBytes()
    let output = try OutputFile(path, replacing: replacing)
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

enum NPY {
  /// Whether `file` begins as a .npy file does.
  static func recognizes(_ file: Bytes) -> Bool {
    file.load(UInt8.self, at: 0) == 0x93 && file.slice(1, 5)?.hasPrefix("NUMPY") == true
  }

  static func read(_ file: Bytes, _ limits: Limits = .standard) throws(CheckpointError) -> Tensor {
    let header = try Header(file, limits)
    guard let (dtype, isBigEndian) = elementType(header.description) else {
      throw CheckpointError(
        .unsupported, "holds elements of type \(quoted(header.description)), which rsw does not read.")
    }
    guard let data = file.slice(header.size, file.count - header.size) else { throw Header.damaged }
    let size = dtype.componentSize
    let source: Storage.Source =
      isBigEndian && size > 1 ? .generated { data.swappingBytes(ofElements: size) } : .bytes(data)
    return try header.tensor(dtype, Storage(source, byteCount: data.count))
  }

  /// What stands before the elements.
  struct Header: Sendable {
    let description: String
    let isFortran: Bool
    let shape: [Int]
    /// Bytes before the elements.
    let size: Int

    /// The bytes before the elements of the .npy file that begins with `start`.
    static func size(_ start: Bytes, _ limits: Limits) throws(CheckpointError) -> Int {
      var reader = ByteReader(start)
      return try text(&reader, limits) + reader.position
    }

    /// Passes over what stands before the text of the header, whose size it returns.
    private static func text(_ reader: inout ByteReader, _ limits: Limits) throws(CheckpointError) -> Int {
      try reader.skip(6)
      let major = try reader.read(UInt8.self)
      _ = try reader.read(UInt8.self)
      guard (1...3).contains(major) else {
        throw CheckpointError(.unsupported, "is an .npy file of version \(major); 1 to 3 are read.")
      }
      let count = major == 1 ? Int(try reader.read(UInt16.self)) : Int(try reader.read(UInt32.self))
      guard count <= limits.arrayHeaderBytes else {
        throw CheckpointError(
          .limitExceeded,
          "declares a .npy header of \(count) bytes; at most \(limits.arrayHeaderBytes) are read.")
      }
      return count
    }

    /// Reads the header at the start of `file`.
    init(_ file: Bytes, _ limits: Limits = .standard) throws(CheckpointError) {
      guard NPY.recognizes(file) else {
        throw CheckpointError(.notACheckpoint, "is no .npy file: write one with numpy.save.")
      }
      var reader = ByteReader(file)
      let count = try Header.text(&reader, limits)
      let fields = try PythonLiteral.dictionary(reader.readBytes(count))
      // NumPy refuses more or fewer.
      guard fields.count == 3,
        let description = fields["descr"]?.text ?? fields["descr"].map({ _ in "structure" }),
        let isFortran = fields["fortran_order"]?.bool, let shape = fields["shape"]?.ints
      else { throw Header.damaged }
      self.description = description
      self.isFortran = isFortran
      self.shape = shape
      size = reader.position
    }

    /// The tensor with these elements, which must be as many as the shape says.
    func tensor(_ dtype: DType, _ storage: Storage) throws(CheckpointError) -> Tensor {
      let strides =
        isFortran
        ? Array(Tensor.contiguousStrides(shape.reversed()).reversed()) : Tensor.contiguousStrides(shape)
      let needed = Tensor.product(shape).map { $0.multipliedReportingOverflow(by: dtype.size) }
      if let needed, !needed.overflow, needed.partialValue > storage.byteCount {
        throw CheckpointError(
          .truncated,
          "is an array \(dtype) \(shape) of \(needed.partialValue) bytes, but \(storage.byteCount) are there. Get the file again."
        )
      }
      return try Tensor(dtype: dtype, shape: shape, strides: strides, storage: storage)
    }

    static let damaged = CheckpointError(
      .malformed, "its .npy header is damaged. Write it again with numpy.save.")
  }

  /// Whether NumPy has the type.
  static func hasType(_ dtype: DType) -> Bool { types.contains { $0.dtype == dtype } }

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

  /// The type that NumPy's description names, such as `<f4`, and whether it is big-endian.
  static func elementType(_ description: String) -> (DType, isBigEndian: Bool)? { elementTypes[description] }

  /// The types by every description of theirs: one-byte types have no byte order, whatever the header says; `=` is the
  /// writer's own, as is none.
  private static let elementTypes = Dictionary(
    uniqueKeysWithValues: types.flatMap { type in
      ["", "<", ">", "|", "="].map { order in
        (order + type.description.dropFirst(), (type.dtype, isBigEndian: order == ">"))
      }
    })
}
