// Every tensor in a file, wherever it lies: in dicts, lists, modules, the attributes, states and arguments of
// objects, among the keys of dicts. Nothing is chosen and nothing is left out; a container that is reached
// twice is walked once.

/// Walks all of one or more pickles.
struct TensorWalk {
  private let builder: TensorBuilder
  private let limits: Limits
  private var paths = ValuePaths()
  /// What the names take so far.
  private var nameBytes = 0
  /// What was reached and is still to be looked at, the next one last.
  private var pending: [Visit] = []
  private var named: [CodeUnitKey: Int] = [:]

  private struct Visit {
    let value: PickleValue
    let path: Int
    /// Whether it is a number that a module's state dict has as a tensor.
    var isNumber = false
  }

  /// All tensors of `pickles`, by dotted path.
  ///
  /// - Throws: `.malformed` when two tensors have the same path, or what is wrong with a tensor.
  static func tensors(of pickles: [TorchPickle], limits: Limits) throws(CheckpointError) -> StateDict {
    var stateDict = StateDict()
    for pickle in pickles {
      var walk = TensorWalk(builder: TensorBuilder(pickle, limits: limits), limits: limits)
      try walk.collect(into: &stateDict)
    }
    return stateDict
  }

  private init(builder: TensorBuilder, limits: Limits) {
    self.builder = builder
    self.limits = limits
  }

  private mutating func collect(into stateDict: inout StateDict) throws(CheckpointError) {
    var visited = [Bool](repeating: false, count: builder.heap.nodes.count)
    pending = [Visit(value: builder.heap.root, path: paths.addRoot())]
    while let visit = pending.popLast() {
      if visit.isNumber, let tensor = try TensorBuilder.tensor(ofNumber: visit.value) {
        try stateDict.append(name(of: visit), tensor)
      }
      guard case .node(let reference) = visit.value else { continue }
      let isTensor = builder.isTensor(visit.value)
      // A tensor is listed under each of its names.
      if isTensor { try builder.append(visit.value, as: name(of: visit), to: &stateDict) }
      guard !visited[reference.index] else { continue }
      visited[reference.index] = true
      let first = pending.count
      if isTensor { try addAttributes(ofTensor: visit) } else { try addContent(of: visit) }
      pending[first...].reverse()
    }
  }

  // MARK: Content

  private mutating func add(
    _ step: ValuePaths.Step, _ value: PickleValue, to visit: Visit, isNumber: Bool = false
  ) {
    guard isNumber || builder.isTensor(value) || builder.mayHoldTensors(value) else { return }
    pending.append(Visit(value: value, path: paths.add(step, to: visit.path), isNumber: isNumber))
  }

  /// Adds what lies directly in a value and is no plain constant.
  private mutating func addContent(of visit: Visit) throws(CheckpointError) {
    let (pickle, heap) = (builder.pickle, builder.heap)
    var passed = 0
    if let module = try builder.module(visit.value) {
      for member in module.tensors + module.modules + module.others {
        add(.member(member.name), member.value, to: visit, isNumber: member.isNumber)
      }
      // The first argument is in these, for modules that were made by a call.
      passed = 1
    } else {
      try addEntries(of: visit)
    }
    guard case .object(let object)? = heap.node(visit.value) else { return }
    if passed == 0 { try addAttributes(pickle.attributes(object), to: visit) }
    if let elements = builder.objectElements(object) {
      try builder.charge(elements.count)
      for (index, element) in elements.enumerated() { add(.index(index), element, to: visit) }
    } else if let state = pickle.opaqueState(object), try builder.packsItsState(visit.value) {
      add(.state, state, to: visit)
    }
    // The arguments of a dict or list are its entries, which are there already.
    switch pickle.known(object.callable) {
    case .dictionary, .sequence, .wrapper: return
    default: break
    }
    add(.callable, object.callable, to: visit)
    try builder.charge(object.arguments.count)
    for (index, argument) in object.arguments.enumerated().dropFirst(passed) {
      add(.argument(index), argument, to: visit)
    }
    if let keywords = object.keywordArguments { add(.namedArguments, keywords, to: visit) }
  }

  private mutating func addEntries(of visit: Visit) throws(CheckpointError) {
    if let entries = builder.pickle.entries(visit.value) {
      try builder.charge(entries.count)
      for (index, entry) in entries.enumerated() {
        add(.key(entry.key), entry.value, to: visit)
        // A scalar of NumPy's is a key like a number.
        if !builder.isScalar(entry.key) { add(.keyOfEntry(index), entry.key, to: visit) }
      }
    }
    if let elements = builder.pickle.elements(visit.value) {
      try builder.charge(elements.count)
      for (index, element) in elements.enumerated() { add(.index(index), element, to: visit) }
    }
  }

  private mutating func addAttributes(_ attributes: PickleEntries, to visit: Visit) throws(CheckpointError) {
    try builder.charge(attributes.count)
    for (key, value) in attributes { add(.attribute(key), value, to: visit) }
  }

  private mutating func addAttributes(ofTensor visit: Visit) throws(CheckpointError) {
    // Those of a tensor that is made of others are its parts.
    let isMadeOfOthers = builder.isMadeOfOthers(visit.value)
    for state in builder.tensorAttributes(visit.value) {
      guard let attributes = builder.pickle.attributes(ofState: state) else {
        add(.state, state, to: visit)
        continue
      }
      try builder.charge(attributes.count)
      for (key, value) in attributes where !isMadeOfOthers || !builder.isTensor(value) {
        add(.attribute(key), value, to: visit)
      }
    }
  }

  // MARK: Names

  private mutating func name(of visit: Visit) throws(CheckpointError) -> String {
    let path = visit.path
    guard paths.depth(path) <= limits.pathNesting else {
      throw CheckpointError(.limitExceeded, "holds a tensor more than \(limits.pathNesting) levels deep.")
    }
    // The root of a file has no name of its own; a key may be empty.
    var parts: [String] = []
    for step in paths.path(path).dropFirst(builder.pickle.name.isEmpty ? 1 : 0) {
      parts.append(try builder.name(step))
    }
    nameBytes = parts.reduce(nameBytes) { $0.saturatingAdding($1.utf8.count + 1) }
    guard nameBytes <= limits.nameMemory(forObjects: builder.heap.nodes.count) else {
      throw TensorBuilder.longNames
    }
    let name = parts.isEmpty ? StateDictSearch.loneTensorName : parts.joined(separator: ".")
    if let other = named.updateValue(path, forKey: CodeUnitKey(name)) {
      throw CheckpointError(
        .malformed,
        "two tensors have this path: \(try access(other)) and \(try access(path)). Choose one with --key.",
        key: name)
    }
    return name
  }

  /// How the tensor would be reached in Python.
  private func access(_ path: Int) throws(CheckpointError) -> String {
    var text = "file"
    for step in paths.path(path) { text += try builder.access(step) }
    return printable(text)
  }
}

extension TensorBuilder {
  /// Whether an object's state is more than the attributes and members that are walked by name.
  fileprivate func packsItsState(_ value: PickleValue) throws(CheckpointError) -> Bool {
    if case .quantizedConvolution? = try moduleKind(value) { return false }
    return true
  }

  fileprivate func isMadeOfOthers(_ value: PickleValue) -> Bool {
    guard case .object(let object)? = heap.node(value) else { return false }
    let function =
      pickle.known(object.callable) == .tensor(.fromType) ? object.arguments.first : object.callable
    let known = function.flatMap { pickle.known($0) }
    return known == .tensor(.wrapperSubclass) || known == .tensor(.jagged)
  }
}
