// Every tensor in a file, wherever it lies: in dicts, lists, modules, the attributes and arguments of
// objects. Nothing is chosen and nothing is left out; a container that is reached twice is
// walked once.

/// Walks all of one or more pickles.
struct TensorWalk {
  private let builder: TensorBuilder
  private let limits: Limits
  private var steps: [Step] = []
  /// What the names take so far.
  private var nameBytes = 0
  /// Nodes looked at so far: objects may share what lies in them.
  private var looks = 0

  /// One step of a path. Most lead to no tensor, so their names are made when one does.
  private struct Step {
    let parent: Int?
    let kind: Kind
    let depth: Int

    /// How a value is reached from the one before.
    enum Kind {
      case root
      case key(PickleValue)
      case index(Int)
      case attribute(PickleValue)
      case member(String)
      case argument(Int)
      case namedArguments
    }
  }

  /// All tensors of `pickles`, by dotted path.
  ///
  /// - Throws: `.malformed` when two tensors have the same path, or what is wrong with a tensor.
  static func tensors(of pickles: [TorchPickle], limits: Limits) throws(CheckpointError) -> StateDict {
    var stateDict = StateDict()
    for pickle in pickles {
      var walk = TensorWalk(builder: TensorBuilder(pickle), limits: limits)
      try walk.collect(into: &stateDict)
    }
    return stateDict
  }

  private init(builder: TensorBuilder, limits: Limits) {
    self.builder = builder
    self.limits = limits
  }

  private mutating func collect(
    into stateDict: inout StateDict
  ) throws(CheckpointError) {
    let root = builder.heap.root
    steps = [Step(parent: nil, kind: .root, depth: 0)]
    var visited = [Bool](repeating: false, count: builder.heap.nodes.count)
    var named: [CodeUnitKey: Int] = [:]
    var pending = [(value: root, step: 0)]
    while let (value, step) = pending.popLast() {
      guard case .node(let reference) = value else { continue }
      if builder.isTensor(value) {
        let name = try name(step)
        if let other = named.updateValue(step, forKey: CodeUnitKey(name)) {
          throw CheckpointError(
            .malformed,
            "two tensors have this path: \(printable(access(other))) and \(printable(access(step))). Choose one with --key.",
            key: name)
        }
        try builder.append(value, as: name, to: &stateDict)
        continue
      }
      guard !visited[reference.index] else { continue }
      visited[reference.index] = true
      let children = children(value)
      guard looks / limits.stateDictExpansion <= builder.heap.nodes.count else {
        throw CheckpointError(
          .limitExceeded,
          "shares values so often that walking through it would take longer than the file justifies.")
      }
      for (kind, child) in children.reversed() {
        steps.append(Step(parent: step, kind: kind, depth: steps[step].depth + 1))
        pending.append((child, steps.count - 1))
      }
    }
  }

  /// What lies directly in `value` and is no plain constant.
  private mutating func children(_ value: PickleValue) -> [(Step.Kind, PickleValue)] {
    var result: [(Step.Kind, PickleValue)] = []
    let (pickle, heap) = (builder.pickle, builder.heap)
    func add(_ kind: Step.Kind, _ value: PickleValue) {
      if case .node = value { looks += 1 }
      switch heap.node(value) {
      case nil, .string?, .bytes?, .bigInteger?, .global?: break
      default: result.append((kind, value))
      }
    }
    if let module = builder.module(value) {
      for (name, value) in module.tensors + module.modules + module.others { add(.member(name), value) }
      return result
    }
    for (key, value) in pickle.entries(value) ?? [] { add(.key(key), value) }
    for (index, element) in (pickle.elements(value) ?? []).enumerated() { add(.index(index), element) }
    if case .object(let object)? = heap.node(value) {
      for (key, value) in pickle.attributes(object) { add(.attribute(key), value) }
      // The arguments of a dict or list are its entries, which are there already.
      switch pickle.known(object.callable) {
      case .dictionary, .sequence, .wrapper: break
      default:
        for (index, argument) in object.arguments.enumerated() { add(.argument(index), argument) }
        if let keywords = object.keywordArguments { add(.namedArguments, keywords) }
      }
    }
    return result
  }

  private mutating func name(_ step: Int) throws(CheckpointError) -> String {
    guard steps[step].depth <= limits.pathNesting else {
      throw CheckpointError(.limitExceeded, "holds a tensor more than \(limits.pathNesting) levels deep.")
    }
    // The root of a file has no name of its own; a key may be empty.
    let parts = path(step).map(name).dropFirst(builder.pickle.name.isEmpty ? 1 : 0)
    nameBytes = parts.reduce(nameBytes) { $0.saturatingAdding($1.utf8.count + 1) }
    guard nameBytes <= limits.nameMemory(forObjects: builder.heap.nodes.count) else {
      throw TensorBuilder.longNames
    }
    let name = parts.joined(separator: ".")
    return parts.isEmpty ? StateDictSearch.loneTensorName : name
  }

  /// How the tensor would be reached in Python.
  private func access(_ step: Int) -> String {
    "file" + path(step).map(access).joined()
  }

  /// The part of the dotted name.
  private func name(_ kind: Step.Kind) -> String {
    switch kind {
    case .root: builder.pickle.name
    case .key(let key), .attribute(let key): builder.pickle.keyName(key)
    case .index(let index), .argument(let index): String(index)
    case .member(let name): name
    case .namedArguments: "kwargs"
    }
  }

  /// How Python would spell the step, for people.
  private func access(_ kind: Step.Kind) -> String {
    switch kind {
    case .root: builder.pickle.name
    case .key(let key):
      builder.heap.string(key).map { "[\"" + $0 + "\"]" } ?? "[" + name(kind) + "]"
    case .index(let index): "[\(index)]"
    case .attribute, .member: "." + name(kind)
    case .argument(let index): ".args[\(index)]"
    case .namedArguments: ".kwargs"
    }
  }

  private func path(_ step: Int) -> [Step.Kind] {
    var path: [Step.Kind] = []
    var current: Int? = step
    while let index = current {
      path.append(steps[index].kind)
      current = steps[index].parent
    }
    return path.reversed()
  }
}
