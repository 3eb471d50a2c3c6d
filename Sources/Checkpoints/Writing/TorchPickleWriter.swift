// The pickle that torch.save writes of a state dict: an OrderedDict of names and calls of the functions that rebuild
// tensors (torch/_utils.py). Storages are persistent ids, numbered in the order in which they come.
//
//   _rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks)
//   _rebuild_tensor_v3(the same, dtype)                   types without a class of storage
//   _rebuild_qtensor(storage, offset, size, stride, (scheme, …), requires_grad, hooks)
//   _rebuild_sparse_tensor(layout, (components…, size[, is_coalesced]))
//   _rebuild_nested_tensor(buffer, sizes, strides, storage_offsets)
//   _rebuild_meta_tensor_no_storage(dtype, size, stride, requires_grad)

/// A state dict as torch.save pickles it.
struct TorchPickleWriter {
  /// A storage, with the first tensor that it is for.
  struct Element {
    let name: String
    let storage: Storage
    let dtype: DType
  }

  /// The storages, by their numbers.
  private(set) var storages: [Element] = []
  private var numbers: [ObjectIdentifier: Int] = [:]
  private var layouts: [Layout: Int] = [:]
  private var pickle = PickleWriter()

  var bytes: [UInt8] { pickle.bytes }

  init(_ stateDict: StateDict) throws(CheckpointError) {
    emptyDict()
    // Python's pickler sets a thousand entries at a time, and a lone one without a mark.
    for start in stride(from: 0, to: stateDict.count, by: 1000) {
      let end = min(stateDict.count, start + 1000)
      if end - start > 1 { pickle.opcode("(") }
      for (name, tensor) in stateDict[start..<end] {
        pickle.text(name)
        do throws(CheckpointError) {
          try append(tensor, name)
        } catch {
          throw error.forTensor(name)
        }
      }
      pickle.opcode(end - start > 1 ? "u" : "s")
    }
    pickle.opcode(".")
  }

  /// An OrderedDict without entries, as hooks are, too.
  private mutating func emptyDict() {
    pickle.global("collections", "OrderedDict")
    pickle.opcode(")")
    call()
  }

  /// Calls a function with what was written last.
  private mutating func call() {
    pickle.opcode("R")
    pickle.memoize()
  }

  private mutating func append(_ tensor: Tensor, _ name: String) throws(CheckpointError) {
    switch tensor.layout {
    case .strided:
      if let quantization = tensor.quantization {
        try append(tensor, quantization, name)
      } else {
        appendPlain(tensor, name)
      }
    case .sparseCOO, .sparseCSR, .sparseCSC, .sparseBSR, .sparseBSC: appendSparse(tensor, name)
    case .nested:
      pickle.global("torch._utils", "_rebuild_nested_tensor")
      pickle.opcode("(")
      for (_, component) in tensor.components { appendPlain(component, name) }
      pickle.endTuple(of: tensor.components.count)
      call()
    case .meta:
      pickle.global("torch._utils", "_rebuild_meta_tensor_no_storage")
      pickle.opcode("(")
      pickle.global("torch", tensor.dtype.rawValue)
      pickle.tuple(tensor.shape)
      pickle.tuple(tensor.strides)
      pickle.bool(false)
      pickle.endTuple(of: 4)
      call()
    case .jagged: throw tensor.layout.error
    }
  }

  private mutating func appendPlain(_ tensor: Tensor, _ name: String) {
    let hasClass = TorchPickleWriter.className(tensor.dtype) != nil
    pickle.global("torch._utils", hasClass ? "_rebuild_tensor_v2" : "_rebuild_tensor_v3")
    pickle.opcode("(")
    appendView(tensor, name)
    pickle.bool(false)
    emptyDict()
    if !hasClass { pickle.global("torch", tensor.dtype.rawValue) }
    pickle.endTuple(of: hasClass ? 6 : 7)
    call()
  }

  /// Storage, offset, size and stride.
  private mutating func appendView(_ tensor: Tensor, _ name: String) {
    let number = number(of: tensor, name)
    let className = TorchPickleWriter.className(tensor.dtype)
    pickle.opcode("(")
    pickle.text("storage")
    pickle.global(className == nil ? "torch.storage" : "torch", className ?? "UntypedStorage")
    pickle.text(String(number))
    pickle.text("cpu")
    pickle.int(tensor.storage.byteCount / (className == nil ? 1 : tensor.dtype.size))
    pickle.endTuple(of: 5)
    pickle.opcode("Q")
    pickle.int(tensor.storageOffset)
    pickle.tuple(tensor.shape)
    pickle.tuple(tensor.strides)
  }

  private mutating func number(of tensor: Tensor, _ name: String) -> Int {
    let identity = ObjectIdentifier(tensor.storage)
    if let number = numbers[identity], storages[number].dtype == tensor.dtype { return number }
    numbers[identity] = storages.count
    storages.append(Element(name: name, storage: tensor.storage, dtype: tensor.dtype))
    return storages.count - 1
  }

  /// The class of a storage with elements of this type; nil for the types that came later and have none.
  private static func className(_ dtype: DType) -> String? {
    DType.storageClasses.first { $0.dtype == dtype }?.name
  }

  private mutating func append(
    _ tensor: Tensor, _ quantization: Quantization, _ name: String
  ) throws(CheckpointError) {
    pickle.global("torch._utils", "_rebuild_qtensor")
    pickle.opcode("(")
    appendView(tensor, name)
    switch quantization {
    case .perTensor(let scale, let zeroPoint):
      pickle.global("torch", "per_tensor_affine")
      pickle.float(scale)
      pickle.int(zeroPoint)
      pickle.endTuple(of: 3)
    case .perChannel(let scales, let zeroPoints, let axis, let precision):
      let isSingle = precision == .float32
      pickle.opcode("(")
      // PyTorch writes this for schemes with floating-point zero points too.
      pickle.global("torch", "per_channel_affine")
      appendPlain(try Tensor(numbers: scales, as: isSingle ? .float32 : .float64), name)
      appendPlain(try Tensor(numbers: zeroPoints, as: isSingle ? .float32 : .int64), name)
      pickle.int(axis)
      pickle.endTuple(of: 4)
    }
    pickle.bool(false)
    emptyDict()
    pickle.endTuple(of: 7)
    call()
  }

  private mutating func appendSparse(_ tensor: Tensor, _ name: String) {
    pickle.global("torch._utils", "_rebuild_sparse_tensor")
    if let memo = layouts[tensor.layout] {
      pickle.get(memo)
    } else {
      pickle.global("torch.serialization", "_get_layout")
      pickle.text("torch." + tensor.layout.rawValue)
      pickle.endTuple(of: 1)
      pickle.opcode("R")
      layouts[tensor.layout] = pickle.memoize()
    }
    pickle.opcode("(")
    for (_, component) in tensor.components { appendPlain(component, name) }
    pickle.global("torch", "Size")
    pickle.tuple(tensor.shape)
    pickle.endTuple(of: 1)
    call()
    if tensor.layout == .sparseCOO { pickle.bool(tensor.isCoalesced) }
    pickle.endTuple(of: 4)
    pickle.endTuple(of: 2)
    call()
  }
}

extension Tensor {
  /// A tensor of one dimension.
  fileprivate init(numbers: [Double], as dtype: DType) throws(CheckpointError) {
    var bytes = LittleEndian()
    for number in numbers {
      switch dtype {
      case .float64: bytes.append(number.bitPattern)
      case .float32: bytes.append(Float(number).bitPattern)
      default: bytes.append(Int64(exactly: number) ?? 0)
      }
    }
    try self.init(dtype: dtype, shape: [numbers.count], storage: Storage(Bytes(bytes.bytes)))
  }
}
