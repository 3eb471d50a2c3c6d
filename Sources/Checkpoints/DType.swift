// The element types of torch 2.13, each with its size and the names that other formats give it.

/// The type of a tensor's elements; raw values are PyTorch's names.
public enum DType: String, Sendable, CaseIterable, CustomStringConvertible {
  /// Floating-point numbers.
  case float64, float32, float16, bfloat16
  /// Floating-point numbers of 8 bits: exponent, mantissa, and what they leave out.
  case float8_e4m3fn, float8_e4m3fnuz, float8_e5m2, float8_e5m2fnuz, float8_e8m0fnu
  /// Two floating-point numbers of 4 bits in a byte.
  case float4_e2m1fn_x2
  /// Whole numbers, and truth values of a byte each.
  case int64, int32, int16, int8, uint64, uint32, uint16, uint8, bool
  /// Signed numbers of less than a byte, which take one each.
  case int1, int2, int3, int4, int5, int6, int7
  /// Unsigned numbers of less than a byte, which take one each.
  case uint1, uint2, uint3, uint4, uint5, uint6, uint7
  /// Complex numbers: two floating-point numbers.
  case complex128, complex64, complex32
  /// Quantized numbers, which scale and zero point belong to.
  case quint8, qint8, qint32, quint4x2, quint2x4
  /// Bits without a meaning of their own.
  case bits16, bits8, bits4x2, bits2x4, bits1x8

  /// PyTorch's name, such as `float32`.
  public var description: String { rawValue }

  /// Bytes an element, as `torch.dtype.itemsize` says.
  public var size: Int {
    switch self {
    case .complex128: 16
    case .float64, .int64, .uint64, .complex64: 8
    case .float32, .int32, .uint32, .complex32, .qint32: 4
    case .float16, .bfloat16, .int16, .uint16, .bits16: 2
    default: 1
    }
  }

  /// How many elements share a byte: more than one for the quantized types of 4 and 2 bits.
  package var elementsPerByte: Int {
    switch self {
    case .quint4x2: 2
    case .quint2x4: 4
    default: 1
    }
  }

  /// The bytes of `count` elements.
  func byteCount(ofElements count: Int) -> Int {
    (count / elementsPerByte + (count % elementsPerByte > 0 ? 1 : 0)) * size
  }

  /// Whether the elements are quantized integers, which need a scale to mean anything.
  public var isQuantized: Bool {
    switch self {
    case .quint8, .qint8, .qint32, .quint4x2, .quint2x4: true
    default: false
    }
  }

  /// Bytes of the numbers that an element is made of: half of it for complex types.
  package var componentSize: Int {
    switch self {
    case .complex128, .complex64, .complex32: size / 2
    default: size
    }
  }

  /// Whether ``Tensor/floats()`` can convert this type.
  public var convertsToFloat: Bool {
    switch self {
    case .float64, .float32, .float16, .bfloat16, .int64, .int32, .int16, .int8, .uint64, .uint32, .uint16,
      .uint8, .bool, .float8_e4m3fn, .float8_e4m3fnuz, .float8_e5m2, .float8_e5m2fnuz, .float8_e8m0fnu:
      true
    default: false
    }
  }

  /// Whether this is one of the floating-point types that weights are saved in.
  public var isFloatingPoint: Bool {
    switch self {
    case .float64, .float32, .float16, .bfloat16: true
    default: false
    }
  }

  /// The type's name in safetensors files, or nil when safetensors' readers have none for it.
  package var safetensorsName: String? {
    switch self {
    case .float64: "F64"
    case .float32: "F32"
    case .float16: "F16"
    case .bfloat16: "BF16"
    case .float8_e4m3fn: "F8_E4M3"
    case .float8_e5m2: "F8_E5M2"
    case .float8_e4m3fnuz: "F8_E4M3FNUZ"
    case .float8_e5m2fnuz: "F8_E5M2FNUZ"
    case .int64: "I64"
    case .int32: "I32"
    case .int16: "I16"
    case .int8: "I8"
    case .uint64: "U64"
    case .uint32: "U32"
    case .uint16: "U16"
    case .uint8: "U8"
    case .bool: "BOOL"
    case .complex64: "C64"
    case .float8_e8m0fnu: "F8_E8M0"
    case .float4_e2m1fn_x2: "F4"
    default: nil
    }
  }

  private static let bySafetensorsName = Dictionary(
    uniqueKeysWithValues: allCases.compactMap { type in type.safetensorsName.map { ($0, type) } })

  package init?(safetensorsName name: String) {
    guard let type = DType.bySafetensorsName[name] else { return nil }
    self = type
  }

  /// The types that PyTorch's typed storage classes hold.
  package static let storageClasses: [(name: String, dtype: DType)] = [
    ("DoubleStorage", .float64), ("FloatStorage", .float32), ("HalfStorage", .float16),
    ("BFloat16Storage", .bfloat16), ("LongStorage", .int64), ("IntStorage", .int32),
    ("ShortStorage", .int16), ("CharStorage", .int8), ("ByteStorage", .uint8), ("BoolStorage", .bool),
    ("ComplexDoubleStorage", .complex128), ("ComplexFloatStorage", .complex64),
    ("QUInt8Storage", .quint8), ("QInt8Storage", .qint8), ("QInt32Storage", .qint32),
    ("QUInt4x2Storage", .quint4x2), ("QUInt2x4Storage", .quint2x4),
  ]

  /// The types that are attributes of `torch`, aliases included.
  package static let torchNames: [(name: String, dtype: DType)] =
    allCases.map { ($0.rawValue, $0) } + [
      ("double", .float64), ("float", .float32), ("half", .float16), ("long", .int64), ("int", .int32),
      ("short", .int16), ("cdouble", .complex128), ("cfloat", .complex64), ("chalf", .complex32),
      ("bit", .uint1),
    ]
}
