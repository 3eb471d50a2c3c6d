// Finds the state dict in what torch.save wrote. Often it is not the root: training scripts wrap
// it, with an epoch and an optimizer beside it, and many keep a second, averaged (EMA) copy. It may
// also be a whole module, or no dict at all but a list of tensors or a single one.

/// Looks through the dicts, modules and lists of one or more pickles.
final class StateDictSearch {
  /// The first is what was saved; others stand beside it, such as the constants of a frozen module.
  let builders: [TensorBuilder]
  let limits: Limits
  var paths = ValuePaths()
  let roots: [Place]
  /// Whether a search left out what an optimizer keeps.
  var passedOptimizer = false

  /// The names that training scripts give the weights.
  private static let wrappers = ["state_dict", "model_state_dict", "model", "net", "params"]

  /// Longer paths than this lead to no state dict.
  private static let longestName = 4096

  /// The name of a tensor that was saved alone.
  static let loneTensorName = "tensor"

  init(_ pickles: [TorchPickle], limits: Limits) {
    builders = pickles.map { TensorBuilder($0, limits: limits) }
    self.limits = limits
    var paths = ValuePaths()
    roots = pickles.enumerated().map { part, pickle in
      Place(part: part, path: paths.addRoot(), value: pickle.heap.root)
    }
    self.paths = paths
  }

  /// The state dict at `key`, or the one that is plainly meant.
  ///
  /// - Throws: `.noStateDict` when there is none, `.ambiguous` when several could be meant.
  func stateDict(at key: String?) throws(CheckpointError) -> StateDict {
    guard let key else { return try read(choose(from: roots)) }
    guard let named = try place(named: key) else { throw try missing(key) }
    // What is asked for by name is meant, whatever else lies in it.
    if try holdsTensors(named, .anything) { return try read(named) }
    return try read(choose(from: [named]))
  }

  /// The dotted paths of everything that could be meant, in file order; the root's is empty.
  func candidates() throws(CheckpointError) -> [String] {
    var all = try places(below: roots, .named)
    if all.isEmpty { all = try places(below: roots, .anything) }
    return try names(of: all)
  }

  // MARK: Places

  /// A value that may hold a state dict, and how it is reached.
  struct Place {
    let part: Int
    let path: Int
    let value: PickleValue
  }

  /// What is looked into: dicts with text for keys and modules, as state dicts are; or lists, dicts
  /// with other keys and the attributes of objects too.
  enum Reach { case named, anything }

  func names(of places: [Place]) throws(CheckpointError) -> [String] {
    var names: [String] = []
    for place in places { names.append(try name(of: place)) }
    return names
  }

  func name(of place: Place) throws(CheckpointError) -> String {
    try components(of: place).joined(separator: ".")
  }

  private func components(of place: Place) throws(CheckpointError) -> [String] {
    let builder = builders[place.part]
    var names: [String] = []
    for step in paths.path(place.path).dropFirst(builder.pickle.name.isEmpty ? 1 : 0) {
      names.append(try builder.name(step))
      try builder.charge(names[names.count - 1].utf8.count)
    }
    return names
  }

  func hasName(_ place: Place) -> Bool {
    paths.depth(place.path) > 0 || !builders[place.part].pickle.name.isEmpty
  }

  /// Whether the last step to `place` has a name that training scripts give the weights.
  func isWrapper(_ place: Place) -> Bool {
    guard case .key(let key) = paths.last(place.path) else { return false }
    return isWrapperName(key, builders[place.part])
  }

  private func isWrapperName(_ key: PickleValue, _ builder: TensorBuilder) -> Bool {
    builder.heap.string(key).map { name in StateDictSearch.wrappers.contains { $0 == name } } ?? false
  }

  /// Calls `body` for what lies directly in `place`, tensors included, until it returns false.
  private func visit(
    _ place: Place, _ reach: Reach,
    _ body: (ValuePaths.Step, PickleValue) throws(CheckpointError) -> Bool
  ) throws(CheckpointError) {
    let builder = builders[place.part]
    let pickle = builder.pickle
    if let entries = pickle.entries(place.value) {
      try builder.charge(entries.count)
      for (key, value) in entries where reach == .anything || pickle.heap.string(key) != nil {
        guard try body(.key(key), value) else { return }
      }
      return
    }
    guard reach == .anything else { return }
    if let elements = pickle.elements(place.value) {
      try builder.charge(elements.count)
      for (index, element) in elements.enumerated() {
        guard try body(.index(index), element) else { return }
      }
      return
    }
    guard case .object(let object)? = pickle.heap.node(place.value) else { return }
    let attributes = pickle.attributes(object)
    try builder.charge(attributes.count)
    for (key, value) in attributes {
      guard try body(.attribute(key), value) else { return }
    }
    if let state = pickle.opaqueState(object) { _ = try body(.state, state) }
  }

  /// The places that are entries of `place`; one that has several names counts by the
  /// first, or by a wrapper's name.
  func children(of place: Place, _ reach: Reach) throws(CheckpointError) -> [Place] {
    let builder = builders[place.part]
    if try isTensorOrModule(place) { return [] }
    var seen: [PickleReference: Int] = [:]
    var children: [Place] = []
    try visit(place, reach) { step, value throws(CheckpointError) in
      guard case .node(let reference) = value, !builder.isTensor(value), builder.mayHoldTensors(value) else {
        return true
      }
      if reach == .named, !builder.pickle.isDictionary(value), try builder.moduleKind(value) == nil {
        return true
      }
      if let index = seen[reference] {
        if case .key(let key) = step, isWrapperName(key, builder) {
          children[index] = Place(part: place.part, path: paths.add(step, to: place.path), value: value)
        }
      } else {
        seen[reference] = children.count
        children.append(Place(part: place.part, path: paths.add(step, to: place.path), value: value))
      }
      return true
    }
    return children
  }

  /// All places at and below `starts` that hold tensors. One that is reached twice counts once.
  func places(
    below starts: [Place], _ reach: Reach, optimizers: Bool = false, most: Int = .max
  ) throws(CheckpointError) -> [Place] {
    var found: [Place] = []
    for start in starts {
      var visited: Set<PickleReference> = []
      var pending = [start]
      while let place = pending.popLast() {
        guard case .node(let reference) = place.value, visited.insert(reference).inserted else { continue }
        if !optimizers, isOptimizer(place) {
          passedOptimizer = true
          continue
        }
        if try holdsTensors(place, reach), try nameBytes(of: place) <= StateDictSearch.longestName {
          found.append(place)
        }
        if found.count == most { return found }
        if paths.depth(place.path) < limits.dictNesting {
          pending += try children(of: place, reach).reversed()
        }
      }
    }
    return found
  }

  private func nameBytes(of place: Place) throws(CheckpointError) -> Int {
    let builder = builders[place.part]
    var count = 0
    for step in paths.path(place.path) { count += try builder.name(step).utf8.count + 1 }
    return count
  }

  private func isTensor(_ place: Place) -> Bool { builders[place.part].isTensor(place.value) }

  func isModule(_ place: Place) throws(CheckpointError) -> Bool {
    try builders[place.part].moduleKind(place.value) != nil
  }

  private func isTensorOrModule(_ place: Place) throws(CheckpointError) -> Bool {
    if isTensor(place) { return true }
    return try isModule(place)
  }

  private func holdsTensors(_ place: Place, _ reach: Reach) throws(CheckpointError) -> Bool {
    let builder = builders[place.part]
    if isTensor(place) { return !hasName(place) }
    if try isModule(place) { return try builder.holdsTensors(module: place.value) }
    var holds = false
    try visit(place, reach) { _, value in
      holds = builder.isTensor(value)
      return !holds
    }
    return holds
  }

  /// Whether `place` is a dict or module without anything in it, which is a state dict all the same.
  func isEmpty(_ place: Place) throws(CheckpointError) -> Bool {
    let builder = builders[place.part]
    if let entries = builder.pickle.entries(place.value) { return entries.isEmpty }
    guard builders.count == 1, try isModule(place) else { return false }
    return try !builder.holdsTensors(module: place.value)
  }

  /// Whether all tensors of `place` are single numbers, such as a loss and a best score.
  func holdsOnlyScalars(_ place: Place) throws(CheckpointError) -> Bool {
    let builder = builders[place.part]
    if try isTensorOrModule(place) { return false }
    var holds = true
    try visit(place, .anything) { _, value in
      holds = !builder.isTensor(value) || builder.isScalar(value)
      return holds
    }
    return holds
  }

  /// Whether `place` is what `optimizer.state_dict()` returns.
  private func isOptimizer(_ place: Place) -> Bool {
    guard let entries = builders[place.part].pickle.entries(place.value), entries.count <= 16 else {
      return false
    }
    let heap = builders[place.part].heap
    return ["state", "param_groups"].allSatisfy { name in
      entries.contains { heap.string($0.key) == name }
    }
  }

  func isAveraged(_ place: Place) throws(CheckpointError) -> Bool {
    try components(of: place).contains { component in
      component.lowercased().split(whereSeparator: { !$0.isLetter }).contains {
        $0 == "ema" || $0 == "swa" || $0 == "averaged"
      }
    }
  }

  // MARK: Reading

  private func read(_ place: Place) throws(CheckpointError) -> StateDict {
    let builder = builders[place.part]
    var stateDict = StateDict()
    stateDict.location = try name(of: place)
    if isTensor(place) {
      try builder.append(place.value, as: StateDictSearch.loneTensorName, to: &stateDict)
    } else if try isModule(place) {
      try builder.append(module: place.value, to: &stateDict)
    } else {
      try read(entriesOf: place, into: &stateDict)
    }
    return stateDict
  }

  private func read(entriesOf place: Place, into stateDict: inout StateDict) throws(CheckpointError) {
    let builder = builders[place.part]
    var visited = [Bool](repeating: false, count: builder.heap.nodes.count)
    if let entries = builder.pickle.entries(place.value) { stateDict.reserveCapacity(entries.count) }
    try visit(place, .anything) { step, value throws(CheckpointError) in
      let name = try builder.name(step)
      if builder.isTensor(value) {
        if stateDict[name] != nil { throw try sameName(name, step, in: place) }
        try builder.append(value, as: name, to: &stateDict)
      } else if builder.holdsTensorsInside(value, &visited) {
        stateDict.nestedEntries.append(name)
      } else {
        stateDict.otherEntries.append(name)
      }
      return true
    }
  }

  /// Says which two keys of a dict are called the same.
  private func sameName(
    _ name: String, _ last: ValuePaths.Step, in place: Place
  ) throws(CheckpointError) -> CheckpointError {
    let builder = builders[place.part]
    var first: ValuePaths.Step?
    try visit(place, .anything) { step, value throws(CheckpointError) in
      if builder.isTensor(value), try builder.name(step) == name { first = step }
      return first == nil
    }
    let keys = (try builder.access(first ?? last), try builder.access(last))
    return CheckpointError(
      .malformed,
      "two tensors have this name, by the keys \(keys.0) and \(keys.1). Rename one, and save the dict again.",
      key: name)
  }
}
