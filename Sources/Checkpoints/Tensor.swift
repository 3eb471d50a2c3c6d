// A tensor: dtype, shape, strides and offset over a shared storage, as PyTorch has it. Views,
// transposes, expansions and ties stay what they were in the file; copies are made on request.

/// An n-dimensional array of numbers that lives in a ``Storage``.
///
/// ```swift
/// let weight = stateDict["conv1.weight"]
/// let values = try weight?.floats()   // [Float], row-major
/// ```
public struct Tensor: Sendable {
  /// The type of the elements.
  public let dtype: DType
  /// The number of elements along each dimension; empty for a scalar.
  public let shape: [Int]
  /// The step from one element to the next along each dimension, in elements.
  public let strides: [Int]
  /// The first element's place in the storage, in elements.
  public let storageOffset: Int
  /// The memory, which other tensors may share.
  public let storage: Storage
  /// The number of elements.
  public let elementCount: Int
  /// What makes this more than a view of its storage; nil for ordinary tensors.
  private let form: Form?

  /// A view of `storage`.
  ///
  /// - Throws: `.outsideStorage` when an element lies outside the storage, `.malformed` when shape
  ///   and strides don't belong together, `.limitExceeded` when a product overflows.
  public init(
    dtype: DType, shape: [Int], strides: [Int], storageOffset: Int = 0, storage: Storage
  ) throws(CheckpointError) {
    let (dimensions, limit) = (max(shape.count, strides.count), Limits.standard.tensorDimensions)
    guard dimensions <= limit else {
      throw CheckpointError(.limitExceeded, "has \(dimensions) dimensions; at most \(limit) are read.")
    }
    guard shape.count == strides.count else {
      throw CheckpointError(.malformed, "its shape \(shape) and its strides \(strides) differ in length.")
    }
    guard shape.allSatisfy({ $0 >= 0 }), strides.allSatisfy({ $0 >= 0 }), storageOffset >= 0 else {
      throw CheckpointError(
        .malformed,
        "has a negative size, stride or offset (shape \(shape), strides \(strides), offset \(storageOffset))."
      )
    }
    let elementCount = try Tensor.elementCount(dtype, shape)
    // What shares a byte can't be strided over.
    guard
      dtype.elementsPerByte == 1
        || storageOffset == 0 && (elementCount < 2 || strides == Tensor.contiguousStrides(shape))
    else {
      throw CheckpointError(
        .unsupported, "is a view of \(dtype), whose elements share bytes. Save a copy of it.")
    }
    let (available, overflow) = (storage.byteCount / dtype.size).multipliedReportingOverflow(
      by: dtype.elementsPerByte)
    if elementCount > 0, !overflow {
      guard let last = Tensor.lastElement(shape, strides, storageOffset), last < available else {
        throw CheckpointError(
          .outsideStorage,
          "needs elements outside its storage: \(dtype) \(shape) with strides \(strides) from element "
            + "\(storageOffset) does not fit into \(storage.byteCount) bytes"
            + (storage.origin.isEmpty ? "." : " (\(quoted(storage.origin)))."))
      }
    }
    self.dtype = dtype
    self.shape = shape
    self.strides = strides
    self.storageOffset = storageOffset
    self.storage = storage
    self.elementCount = elementCount
    form = nil
  }

  /// A view of quantized integers with what they stand for.
  ///
  /// - Throws: `.malformed` when the scales don't belong to the shape.
  package init(_ integers: Tensor, quantization: Quantization) throws(CheckpointError) {
    try quantization.check(integers)
    self.init(
      dtype: integers.dtype, shape: integers.shape, strides: integers.strides,
      storageOffset: integers.storageOffset, storage: integers.storage, elementCount: integers.elementCount,
      form: Form(layout: .strided, quantization: quantization))
  }

  /// A tensor that is not a view of one storage but made of parts, or has a shape only.
  ///
  /// - Throws: `.malformed` or `.limitExceeded` when the shape can't be.
  package init(
    dtype: DType, shape: [Int], strides: [Int]? = nil, layout: Layout,
    components: [StateDict.Element] = [], isCoalesced: Bool = false
  ) throws(CheckpointError) {
    guard shape.allSatisfy({ $0 >= 0 }) else {
      throw CheckpointError(.malformed, "has a negative size (shape \(shape)).")
    }
    guard shape.count <= Limits.standard.tensorDimensions else {
      throw CheckpointError(.limitExceeded, "has shape \(shape), which is more than can be addressed.")
    }
    let elementCount = try Tensor.elementCount(dtype, shape)
    self.init(
      dtype: dtype, shape: shape, strides: strides ?? Tensor.contiguousStrides(shape), storageOffset: 0,
      storage: Storage(.unavailable(layout.error), byteCount: 0), elementCount: elementCount,
      form: Form(layout: layout, components: components, isCoalesced: isCoalesced))
  }

  private init(
    dtype: DType, shape: [Int], strides: [Int], storageOffset: Int, storage: Storage, elementCount: Int,
    form: Form
  ) {
    self.dtype = dtype
    self.shape = shape
    self.strides = strides
    self.storageOffset = storageOffset
    self.storage = storage
    self.elementCount = elementCount
    self.form = form
  }

  /// How the elements are kept: `strided` for all but a few tensors.
  public var layout: Layout { form?.layout ?? .strided }

  /// What the integers of a quantized tensor stand for; nil for all other tensors.
  public var quantization: Quantization? { form?.quantization }

  /// The tensors that a sparse or nested tensor is made of, by PyTorch's names; empty for others.
  ///
  /// `indices` and `values` for `sparse_coo`; `crow_indices`, `col_indices`, `values` for `sparse_csr`
  /// and `sparse_bsr`; `ccol_indices`, `row_indices`, `values` for `sparse_csc` and `sparse_bsc`;
  /// `buffer`, `sizes`, `strides`, `storage_offsets` for `nested`; `values`, `offsets` and at times `lengths`
  /// for `jagged`.
  public var components: [StateDict.Element] { form?.components ?? [] }

  /// Whether a `sparse_coo` tensor is known to have each place once, in order.
  public var isCoalesced: Bool { form?.isCoalesced ?? false }

  /// A row-major tensor over all of `storage`.
  ///
  /// - Throws: `.outsideStorage` when the storage is too small.
  public init(dtype: DType, shape: [Int], storage: Storage) throws(CheckpointError) {
    try self.init(dtype: dtype, shape: shape, strides: Tensor.contiguousStrides(shape), storage: storage)
  }

  /// A row-major float32 tensor with `values`.
  ///
  /// - Throws: `.outsideStorage` when there are fewer values than `shape` needs, `.malformed` when there are more.
  public init(shape: [Int], _ values: [Float]) throws(CheckpointError) {
    let bytes = unsafe Bytes(count: values.count * MemoryLayout<Float>.size) { target in
      unsafe values.withUnsafeBytes { source in unsafe target.copyMemory(from: source) }
    }
    try self.init(dtype: .float32, shape: shape, storage: Storage(bytes))
    guard elementCount == values.count else {
      throw CheckpointError(.malformed, "there are \(values.count) values for the shape \(shape).")
    }
  }

  /// The size of all elements in bytes; of the components' where there are any.
  public var byteCount: Int {
    switch layout {
    case .strided: dtype.byteCount(ofElements: elementCount)
    case .meta: 0
    default: components.reduce(0) { $0.saturatingAdding($1.tensor.byteCount) }
    }
  }

  /// Whether the elements lie one after the other in row-major order.
  public var isContiguous: Bool {
    guard elementCount > 0 else { return true }
    var expected = 1
    for dimension in shape.indices.reversed() where shape[dimension] != 1 {
      if strides[dimension] != expected { return false }
      expected *= shape[dimension]
    }
    return true
  }

  /// The elements in row-major order; shares the storage's memory when they already lie so.
  ///
  /// - Throws: ``CheckpointError`` when the storage can't be read, `.notRepresentable` for sparse and
  ///   nested tensors, `.noElements` for tensors of the meta device, or `.limitExceeded` when a
  ///   stride-0 view would grow beyond ``Limits/expandedBytes``.
  public func contiguousBytes(limits: Limits = Limits()) throws(CheckpointError) -> Bytes {
    guard layout == .strided else { throw layout.error }
    guard elementCount > 0 else { return Bytes([]) }
    if isContiguous, let slice = try storage.bytes().slice(storageOffset * dtype.size, byteCount) {
      return slice
    }
    try checkExpansion(limits)
    return try bytes(ofElements: 0..<elementCount)
  }

  /// - Throws: `.limitExceeded` when a copy is much larger than the storage.
  func checkExpansion(_ limits: Limits = .standard) throws(CheckpointError) {
    guard byteCount <= max(storage.byteCount, limits.expandedBytes) else {
      throw CheckpointError(
        .limitExceeded,
        "is a view of \(storage.byteCount) bytes that would take \(byteCount) bytes as a copy; "
          + "raise Limits.expandedBytes if you want it.")
    }
  }

  /// Row-major strides for `shape`.
  package static func contiguousStrides(_ shape: [Int]) -> [Int] {
    var strides = [Int](repeating: 1, count: shape.count)
    for dimension in shape.indices.dropLast().reversed() {
      // A wrapped product belongs to a shape that `init` refuses.
      strides[dimension] = strides[dimension + 1] &* max(shape[dimension + 1], 1)
    }
    return strides.map { max($0, 0) }
  }

  /// The number of elements of a shape without negative sizes.
  ///
  /// - Throws: `.limitExceeded` when that, or their bytes, can't be counted.
  static func elementCount(_ dtype: DType, _ shape: [Int]) throws(CheckpointError) -> Int {
    guard let elementCount = product(shape),
      !elementCount.multipliedReportingOverflow(by: dtype.size).overflow
    else {
      throw CheckpointError(.limitExceeded, "has shape \(shape), which is more than can be addressed.")
    }
    return elementCount
  }

  /// The product of `factors`, or nil on overflow. A zero anywhere makes it zero.
  package static func product(_ factors: [Int]) -> Int? {
    if factors.contains(0) { return 0 }
    var result = 1
    for factor in factors {
      let (product, overflow) = result.multipliedReportingOverflow(by: factor)
      if overflow { return nil }
      result = product
    }
    return result
  }

  /// The largest element index that the view reaches, or nil on overflow.
  static func lastElement(_ shape: [Int], _ strides: [Int], _ offset: Int) -> Int? {
    var last = offset
    for (size, stride) in zip(shape, strides) {
      let (span, overflow) = (size - 1).multipliedReportingOverflow(by: stride)
      if overflow { return nil }
      let (sum, overflow2) = last.addingReportingOverflow(span)
      if overflow2 { return nil }
      last = sum
    }
    return last
  }
}
