// The names of classes and functions that this library knows how to read, and what each stands
// for. Every other name in a pickle is only a name: what was to be called with it is kept as data
// and walked, never made.

/// What a global of a pickle stands for.
enum KnownName: Sendable, Equatable {
  /// A function of PyTorch that makes a tensor from its parts.
  case tensor(Rebuild)
  /// A function of NumPy that makes an array or a scalar.
  case array(ArrayRebuild)
  /// A class of storages with elements of one type; untyped ones count bytes.
  case storage(DType)
  /// `torch.float32` and its like.
  case dtype(DType)
  /// `torch.storage._load_from_bytes`: a storage saved on its own, inside the pickle.
  case storageFromBytes
  /// `torch.serialization._get_layout`
  case layout
  case perTensorQuantization
  case perChannelQuantization(DType)
  /// A dict or a subclass of it.
  case dictionary
  /// A list, tuple or set that is made from its first argument.
  case sequence
  /// A function that returns its first argument, more or less: TorchScript's type tags.
  case wrapper
  /// `numpy.dtype`
  case arrayType
  /// `_codecs.encode`: bytes spelled as text, as Python 3 writes them for Python 2.
  case encodedText
  case bytes
  /// `copyreg._reconstructor(class, base, state)`
  case reconstructor
  /// `copyreg.__newobj__(class, …)`
  case newObject
  /// What `torch.compile` makes of a module, which is its first argument.
  case compiledModule
  /// A parameter or buffer of a lazy module, which has no elements yet.
  case uninitializedTensor
  /// Something of PyTorch, NumPy or Python that holds no tensor and does no harm.
  case harmless

  /// PyTorch's rebuild functions, by what they take.
  enum Rebuild: Sendable {
    /// (storage, offset, size, stride, …)
    case strided, stridedWithType
    /// The same as the object's state, as the first PyTorch wrote it.
    case stridedState
    case quantized, sparse, nested, jagged, meta, wrapperSubclass
    /// The tensor is the first argument.
    case first
    /// (function, class, arguments, state)
    case fromType
    /// (array or tensor, dtype, device, requires_grad)
    case ofDevice
  }

  enum ArrayRebuild: Sendable {
    case reconstruct, fromBuffer, scalar
  }

  init?(_ fullName: String) {
    guard let known = KnownName.table[fullName] else { return nil }
    self = known
  }

  private static let table: [String: KnownName] = {
    var table: [String: KnownName] = [
      "torch._utils._rebuild_tensor": .tensor(.strided),
      "torch._utils._rebuild_tensor_v2": .tensor(.strided),
      "torch._utils._rebuild_tensor_v3": .tensor(.stridedWithType),
      "torch._utils._rebuild_qtensor": .tensor(.quantized),
      "torch._utils._rebuild_sparse_tensor": .tensor(.sparse),
      "torch._utils._rebuild_sparse_csr_tensor": .tensor(.sparse),
      "torch._utils._rebuild_nested_tensor": .tensor(.nested),
      "torch.nested._internal.nested_tensor._rebuild_njt": .tensor(.jagged),
      "torch._utils._rebuild_meta_tensor_no_storage": .tensor(.meta),
      "torch._utils._rebuild_wrapper_subclass": .tensor(.wrapperSubclass),
      "torch._utils._rebuild_parameter": .tensor(.first),
      "torch._utils._rebuild_parameter_with_state": .tensor(.first),
      "torch._utils._rebuild_device_tensor_from_cpu_tensor": .tensor(.ofDevice),
      "torch._utils._rebuild_device_tensor_from_numpy": .tensor(.ofDevice),
      "torch._utils._rebuild_xla_tensor": .tensor(.ofDevice),
      "torch._tensor._rebuild_from_type": .tensor(.fromType),
      "torch._tensor._rebuild_from_type_v2": .tensor(.fromType),
      // Before torch 0.4 a parameter was a class called with its data.
      "torch.nn.parameter.Parameter": .tensor(.first),
      "torch.nn.Parameter": .tensor(.first),
      "torch.nn.parameter.Buffer": .tensor(.first),
      "torch.autograd.variable.Variable": .tensor(.first),
      "torch.autograd.Variable": .tensor(.first),

      "torch._dynamo.eval_frame.OptimizedModule": .compiledModule,
      "torch.nn.parameter.UninitializedParameter": .uninitializedTensor,
      "torch.nn.parameter.UninitializedBuffer": .uninitializedTensor,

      "torch.storage._load_from_bytes": .storageFromBytes,
      "torch.storage.UntypedStorage": .storage(.uint8),
      "torch.UntypedStorage": .storage(.uint8),
      "torch.serialization._get_layout": .layout,
      "torch.per_tensor_affine": .perTensorQuantization,
      "torch.per_channel_affine": .perChannelQuantization(.float64),
      "torch.per_channel_affine_float_qparams": .perChannelQuantization(.float32),

      "collections.OrderedDict": .dictionary,
      "collections.defaultdict": .dictionary,
      "collections.Counter": .dictionary,
      "torch.Size": .sequence,
      "collections.deque": .sequence,
      "torch.jit._pickle.build_intlist": .sequence,
      "torch.jit._pickle.build_tensorlist": .sequence,
      "torch.jit._pickle.build_doublelist": .sequence,
      "torch.jit._pickle.build_boollist": .sequence,
      "torch.jit._pickle.restore_type_tag": .wrapper,

      "numpy.dtype": .arrayType,
      "_codecs.encode": .encodedText,
      "copyreg._reconstructor": .reconstructor,
      "copy_reg._reconstructor": .reconstructor,
      "copyreg.__newobj__": .newObject,
      "copy_reg.__newobj__": .newObject,
    ]
    for module in ["numpy.core.multiarray", "numpy._core.multiarray"] {
      table[module + "._reconstruct"] = .array(.reconstruct)
      table[module + ".scalar"] = .array(.scalar)
    }
    for module in ["numpy.core.numeric", "numpy._core.numeric"] {
      table[module + "._frombuffer"] = .array(.fromBuffer)
    }
    for module in ["builtins", "__builtin__"] {
      table[module + ".dict"] = .dictionary
      for name in ["set", "frozenset", "list", "tuple"] { table[module + "." + name] = .sequence }
      for name in ["bytes", "bytearray"] { table[module + "." + name] = .bytes }
      for name in ["complex", "slice", "range", "xrange", "object", "int", "float", "bool", "str"] {
        table[module + "." + name] = .harmless
      }
    }
    for (name, dtype) in DType.storageClasses {
      // The class of a storage on a GPU lies in `torch.cuda`.
      for module in ["torch.", "torch.cuda.", "torch.storage."] { table[module + name] = .storage(dtype) }
      let tensorClass = String(name.dropLast("Storage".count)) + "Tensor"
      for module in ["torch.", "torch.cuda."] { table[module + tensorClass] = .tensor(.stridedState) }
    }
    for (name, dtype) in DType.torchNames { table["torch." + name] = .dtype(dtype) }
    for name in harmlessNames { table[name] = .harmless }
    return table
  }()

  private static let harmlessNames = [
    "torch.device", "torch.strided", "torch.Tensor", "torch.serialization._get_dtype", "torch.Generator",
    "torch._C._TensorMeta", "numpy.ndarray",
    "numpy.matrixlib.defmatrix.matrix", "datetime.datetime", "datetime.date", "datetime.timedelta",
    "datetime.timezone", "pathlib.PosixPath", "pathlib.WindowsPath", "pathlib.PurePosixPath", "pathlib.Path",
    "pathlib._local.PosixPath", "argparse.Namespace", "decimal.Decimal", "fractions.Fraction", "uuid.UUID",
    "types.SimpleNamespace",
  ]
}
