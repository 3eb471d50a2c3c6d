// Finds the state dict in what torch.save wrote. Often it is not the root: training scripts wrap
// it, with an epoch and an optimizer beside it, and many keep a second, averaged (EMA) copy. It may
// also be a whole module, or no dict at all but a list of tensors or a single one.

/// Looks through the dicts, modules and lists of one or more pickles.
struct StateDictSearch {
  /// The first is what was saved; others stand beside it, such as the constants of a frozen module.
  private let builders: [TensorBuilder]
  private let limits: Limits

  /// The names that training scripts give the weights.
  private static let wrappers: Set = ["state_dict", "model_state_dict", "model", "net", "params"]

  /// Longer paths than this lead to no state dict.
  private static let longestName = 4096

  /// The name of a tensor that was saved alone.
  static let loneTensorName = "tensor"

  init(_ pickles: [TorchPickle], limits: Limits) {
    builders = pickles.map(TensorBuilder.init)
    self.limits = limits
  }

  /// The state dict at `key`, or the one that is plainly meant.
  ///
  /// - Throws: `.noStateDict` when there is none, `.ambiguous` when several could be meant.
  func stateDict(at key: String?) throws(CheckpointError) -> StateDict {
    guard let key else { return try read(choose(from: roots)) }
    guard let named = place(named: key) else { throw missing(key) }
    // What is asked for by name is meant, whatever else lies in it.
    return try read(holdsTensors(named, .anything) ? named : choose(from: [named]))
  }

  /// The dotted paths of everything that could be meant, in file order; the root's is empty.
  func candidates() -> [String] {
    let all = places(below: roots, .named)
    return (all.isEmpty ? places(below: roots, .anything) : all).map(\.name)
  }

  // MARK: Places

  /// A value that may hold a state dict, and how it is reached.
  private struct Place {
    let part: Int
    let path: [String]
    let value: PickleValue
    var name: String { path.joined(separator: ".") }
    var nameBytes: Int { path.reduce(0) { $0 + $1.utf8.count + 1 } }
  }

  /// What is looked into: dicts with text for keys and modules, as state dicts are; or lists, dicts
  /// with other keys and the attributes of objects too.
  private enum Reach { case named, anything }

  private var roots: [Place] {
    builders.indices.map { part in
      let pickle = builders[part].pickle
      return Place(part: part, path: pickle.name.isEmpty ? [] : [pickle.name], value: pickle.heap.root)
    }
  }

  /// What lies directly in `place`, tensors included.
  private func entries(_ place: Place, _ reach: Reach) -> [(name: String, value: PickleValue)] {
    let pickle = builders[place.part].pickle
    if let entries = pickle.entries(place.value) {
      return entries.compactMap { entry in
        if reach == .named { return pickle.heap.string(entry.key).map { ($0, entry.value) } }
        return (pickle.keyName(entry.key), entry.value)
      }
    }
    guard reach == .anything else { return [] }
    if let elements = pickle.elements(place.value) {
      return elements.enumerated().map { (String($0.offset), $0.element) }
    }
    guard case .object(let object)? = pickle.heap.node(place.value) else { return [] }
    return pickle.attributes(object).map { (pickle.keyName($0.key), $0.value) }
  }

  /// The places that are entries of `place`; one that has several names counts by the
  /// first, or by a wrapper's name.
  private func children(of place: Place, _ reach: Reach) -> [Place] {
    let builder = builders[place.part]
    if isTensor(place) || builder.module(place.value) != nil { return [] }
    var seen: [PickleReference: Int] = [:]
    var children: [Place] = []
    for (name, value) in entries(place, reach) {
      guard case .node(let reference) = value, !builder.isTensor(value) else { continue }
      let child = Place(part: place.part, path: place.path + [name], value: value)
      guard child.nameBytes <= StateDictSearch.longestName,
        reach == .anything || builder.pickle.entries(value) != nil || builder.module(value) != nil
      else { continue }
      if let index = seen[reference] {
        if StateDictSearch.wrappers.contains(name) { children[index] = child }
      } else {
        seen[reference] = children.count
        children.append(child)
      }
    }
    return children
  }

  /// All places at and below `starts` that hold tensors. One that is reached twice counts once.
  private func places(
    below starts: [Place], _ reach: Reach, optimizers: Bool = false, most: Int = .max
  ) -> [Place] {
    var found: [Place] = []
    for start in starts {
      var visited: Set<PickleReference> = []
      var pending = [start]
      while let place = pending.popLast() {
        guard case .node(let reference) = place.value, visited.insert(reference).inserted,
          optimizers || !isOptimizer(place)
        else { continue }
        if holdsTensors(place, reach) { found.append(place) }
        if found.count == most { return found }
        if place.path.count < limits.dictNesting { pending += children(of: place, reach).reversed() }
      }
    }
    return found
  }

  private func isTensor(_ place: Place) -> Bool { builders[place.part].isTensor(place.value) }

  private func holdsTensors(_ place: Place, _ reach: Reach) -> Bool {
    let builder = builders[place.part]
    if isTensor(place) { return place.path.isEmpty }
    if builder.module(place.value) != nil {
      // A module that can't be listed counts too, so that the reason comes to light.
      return (try? builder.moduleTensors(place.value, limits: limits).isEmpty) != true
    }
    return entries(place, reach).contains { builder.isTensor($0.value) }
  }

  /// Whether `place` is a dict or module without anything in it, which is a state dict all the same.
  private func isEmpty(_ place: Place) -> Bool {
    let builder = builders[place.part]
    if let entries = builder.pickle.entries(place.value) { return entries.isEmpty }
    guard builders.count == 1, builder.module(place.value) != nil else { return false }
    return (try? builder.moduleTensors(place.value, limits: limits).isEmpty) ?? false
  }

  /// Whether all tensors of `place` are single numbers, such as a loss and a best score.
  private func holdsOnlyScalars(_ place: Place) -> Bool {
    let builder = builders[place.part]
    guard !isTensor(place), builder.module(place.value) == nil else { return false }
    return entries(place, .anything).allSatisfy { !builder.isTensor($0.value) || builder.isScalar($0.value) }
  }

  /// Whether `place` is what `optimizer.state_dict()` returns.
  private func isOptimizer(_ place: Place) -> Bool {
    guard let entries = builders[place.part].pickle.entries(place.value), entries.count <= 16 else {
      return false
    }
    let names = Set(entries.compactMap { builders[place.part].heap.string($0.key) })
    return names.isSuperset(of: ["state", "param_groups"])
  }

  private func isAveraged(_ place: Place) -> Bool {
    place.path.contains { component in
      component.lowercased().split(whereSeparator: { !$0.isLetter }).contains {
        $0 == "ema" || $0 == "swa" || $0 == "averaged"
      }
    }
  }

  // MARK: Choice

  /// Follows wrappers inwards, then takes the only place with tensors that is left.
  private func choose(from starts: [Place]) throws(CheckpointError) -> Place {
    guard var place = starts.first else { throw nothing(nil) }
    for _ in 0..<limits.dictNesting {
      let wrapped = children(of: place, .named).filter { child in
        StateDictSearch.wrappers.contains(child.path.last ?? "")
          && !places(below: [child], .named, most: 1).isEmpty
      }
      if wrapped.count > 1 { throw ambiguous(wrapped) }
      guard let only = wrapped.first else { break }
      place = only
    }
    if isEmpty(place) { return place }

    // What a state dict looks like comes first; an averaged copy, lists and optimizers are taken
    // unasked only where there is nothing else.
    let named = places(below: [place], .named)
    for choices in [
      named.filter { !isAveraged($0) && !holdsOnlyScalars($0) }, named.filter { !holdsOnlyScalars($0) },
    ] {
      if choices.count > 1 { throw ambiguous(choices) }
      if let choice = choices.first { return choice }
    }
    let rest = [place] + starts.dropFirst()
    let anything = places(below: rest, .anything)
    for choices in [
      anything.filter { !isAveraged($0) && !holdsOnlyScalars($0) }, anything,
      places(below: rest, .anything, optimizers: true),
    ] {
      if choices.count > 1 { throw ambiguous(choices) }
      if let choice = choices.first { return choice }
    }
    throw nothing(place)
  }

  /// `key` as the name of an entry of the root or, with dots, of an entry further in.
  private func place(named key: String) -> Place? {
    if key.isEmpty { return roots.first }
    let inner = follow(key[...], from: Place(part: 0, path: [], value: roots[0].value))
    return inner
      ?? roots.dropFirst().lazy.compactMap { root in
        key == root.name
          ? root : key.droppingPrefix(root.name + ".").flatMap { self.follow($0[...], from: root) }
      }.first
  }

  private func follow(_ key: Substring, from start: Place) -> Place? {
    var place = start
    var rest = key
    while !rest.isEmpty {
      // A name may hold dots itself: the longest that fits is meant.
      guard
        let next = children(of: place, .anything)
          .filter({ rest == $0.path.last ?? "" || rest.hasPrefix(($0.path.last ?? "") + ".") })
          .max(by: { ($0.path.last ?? "").count < ($1.path.last ?? "").count })
      else { return nil }
      place = next
      rest = rest.dropFirst((next.path.last ?? "").count).drop { $0 == "." }
    }
    return place
  }

  // MARK: Reading

  private func read(_ place: Place) throws(CheckpointError) -> StateDict {
    var stateDict = StateDict()
    stateDict.location = place.name
    if isTensor(place) {
      try builders[place.part].append(place.value, as: StateDictSearch.loneTensorName, to: &stateDict)
      return stateDict
    }
    if builders[place.part].module(place.value) != nil {
      for (name, value) in try builders[place.part].moduleTensors(place.value, limits: limits) {
        try builders[place.part].append(value, as: name, to: &stateDict)
      }
      return stateDict
    }
    let builder = builders[place.part]
    var visited = [Bool](repeating: false, count: builder.heap.nodes.count)
    let entries = entries(place, .anything)
    stateDict.reserveCapacity(entries.count)
    for (name, value) in entries {
      if builder.isTensor(value) {
        try builder.append(value, as: name, to: &stateDict)
      } else if holdsTensorsInside(value, builder, &visited) {
        stateDict.nestedEntries.append(name)
      } else {
        stateDict.otherEntries.append(name)
      }
    }
    return stateDict
  }

  /// Whether there is a tensor anywhere in `value`, as far as that was not visited before. What else
  /// lies in a checkpoint may be large, so no names are made on the way.
  private func holdsTensorsInside(
    _ value: PickleValue, _ builder: TensorBuilder, _ visited: inout [Bool]
  ) -> Bool {
    var pending = [value]
    while let value = pending.popLast() {
      guard case .node(let reference) = value, !visited[reference.index] else { continue }
      visited[reference.index] = true
      if builder.isTensor(value) { return true }
      if builder.module(value) != nil {
        // A module that can't be listed counts too, so that the reason comes to light.
        if (try? builder.moduleTensors(value, limits: limits).isEmpty) != true { return true }
        continue
      }
      switch builder.heap.node(value) {
      case .tuple(let values)?, .list(let values)?, .set(let values)?: pending += values
      case .object(let object)?:
        // The state and the arguments are visited as values of their own, for objects may share them.
        pending += object.arguments + object.items + object.entries
        if let state = object.state { pending.append(state) }
      case .dict(let entries)?:
        for index in stride(from: 1, to: entries.count, by: 2) { pending.append(entries[index]) }
      default: break
      }
    }
    return false
  }

  // MARK: Errors

  private func list(_ places: [Place]) -> String {
    places.prefix(20).map { quoted($0.name) }.joined(separator: ", ") + (places.count > 20 ? ", …" : "")
  }

  private func ambiguous(_ places: [Place]) -> CheckpointError {
    CheckpointError(
      .ambiguous, "holds several state dicts: \(list(places)). Choose one with --key, or take all with --all."
    )
  }

  private func missing(_ key: String) -> CheckpointError {
    let all = places(below: roots, .named).filter { !$0.path.isEmpty }
    let hint = all.isEmpty ? "The whole file is one state dict, or holds none." : "There are: \(list(all))."
    return CheckpointError(.noStateDict, "has no dict named \(quoted(key)). \(hint)")
  }

  private func nothing(_ place: Place?) -> CheckpointError {
    guard let place, !place.path.isEmpty else {
      return CheckpointError(
        .noStateDict,
        "holds no state dict: what was saved is \(kind(place)). Save model.state_dict() instead.")
    }
    return CheckpointError(.noStateDict, "holds no tensors under \(quoted(place.name)).")
  }

  private func kind(_ place: Place?) -> String {
    guard let place else { return "nothing" }
    let pickle = builders[place.part].pickle
    switch place.value {
    case .none: return "None"
    case .bool, .int, .float: return "a number"
    case .node: break
    }
    switch pickle.heap.node(place.value) {
    case .string?: return "a string"
    case .bytes?: return "bytes"
    case .tuple?, .list?, .set?: return "a list without tensors"
    case .dict?: return "a dict without tensors"
    case .object(let object)?:
      if builders[place.part].module(place.value) != nil { return "a module without parameters" }
      return "an object of \(quoted(pickle.className(object) ?? "?"))"
    default: return "something else"
    }
  }
}

extension TensorBuilder {
  /// Adds the tensor that `value` describes; the parts of one whose class alone understands them
  /// are added one by one.
  func append(
    _ value: PickleValue, as name: String, to stateDict: inout StateDict
  ) throws(CheckpointError) {
    do throws(CheckpointError) {
      guard let parts = wrappedTensors(value) else { return try stateDict.append(name, tensor(value)) }
      wrappedCount += parts.count
      guard wrappedCount <= heap.nodes.count else {
        throw CheckpointError(
          .limitExceeded, "wraps tensors that others wrap too, more often than the file justifies.")
      }
      for part in parts { try stateDict.append(name + "." + part.name, tensor(part.value)) }
    } catch {
      throw error.forTensor(name)
    }
  }
}
