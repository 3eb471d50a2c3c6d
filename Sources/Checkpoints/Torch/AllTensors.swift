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

  /// One step of a path: how its value is reached from the one before.
  private struct Step {
    let parent: Int?
    /// The part of the dotted name.
    let name: String
    /// How Python would spell the step, for people.
    let access: String
    let depth: Int
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
    let rootName = builder.pickle.name
    steps = [Step(parent: nil, name: rootName, access: rootName, depth: 0)]
    var visited: Set<PickleReference> = []
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
      guard visited.insert(reference).inserted else { continue }
      for child in children(value).reversed() {
        steps.append(
          Step(parent: step, name: child.name, access: child.access, depth: steps[step].depth + 1))
        pending.append((child.value, steps.count - 1))
      }
    }
  }

  private typealias Child = (name: String, access: String, value: PickleValue)

  /// What lies directly in `value` and is no plain constant.
  private func children(_ value: PickleValue) -> [Child] {
    var result: [Child] = []
    func add(_ name: String, _ access: String, _ value: PickleValue) {
      if case .node = value { result.append((name, access, value)) }
    }
    let pickle = builder.pickle
    if let module = builder.module(value) {
      for (name, value) in module.tensors + module.modules + module.others { add(name, "." + name, value) }
      return result
    }
    for (key, value) in pickle.entries(value) ?? [] {
      add(pickle.keyName(key), pickle.subscriptText(key), value)
    }
    for (index, element) in (pickle.elements(value) ?? []).enumerated() {
      add(String(index), "[\(index)]", element)
    }
    if case .object(let object)? = pickle.heap.node(value) {
      for (key, value) in pickle.attributes(object) {
        let name = pickle.keyName(key)
        add(name, "." + name, value)
      }
      // The arguments of a dict or list are its entries, which are there already.
      switch pickle.known(object.callable) {
      case .dictionary, .sequence, .wrapper: break
      default:
        for (index, argument) in object.arguments.enumerated() {
          add(String(index), ".args[\(index)]", argument)
        }
        if let keywords = object.keywordArguments { add("kwargs", ".kwargs", keywords) }
      }
    }
    return result
  }

  private mutating func name(_ step: Int) throws(CheckpointError) -> String {
    guard steps[step].depth <= limits.pathNesting else {
      throw CheckpointError(.limitExceeded, "holds a tensor more than \(limits.pathNesting) levels deep.")
    }
    // The root of a file has no name of its own; a key may be empty.
    let parts = path(step).map(\.name).dropFirst(steps[0].name.isEmpty ? 1 : 0)
    nameBytes = parts.reduce(nameBytes) { $0.saturatingAdding($1.utf8.count + 1) }
    guard nameBytes <= limits.nameMemory(forObjects: builder.heap.nodes.count) else {
      throw TensorBuilder.longNames
    }
    let name = parts.joined(separator: ".")
    return parts.isEmpty ? StateDictSearch.loneTensorName : name
  }

  /// How the tensor would be reached in Python.
  private func access(_ step: Int) -> String {
    "file" + path(step).map(\.access).joined()
  }

  private func path(_ step: Int) -> [Step] {
    var path: [Step] = []
    var current: Int? = step
    while let index = current {
      path.append(steps[index])
      current = steps[index].parent
    }
    return path.reversed()
  }
}

extension TorchPickle {
  /// A key as Python writes it between brackets.
  fileprivate func subscriptText(_ key: PickleValue) -> String {
    heap.string(key).map { "[\"" + $0 + "\"]" } ?? "[" + keyName(key) + "]"
  }
}
