// Finds the state dict in what torch.save wrote. Often it is not the root: training scripts wrap
// it, with an epoch and an optimizer beside it, and many keep a second, averaged (EMA) copy.

/// Looks through the dicts of a ``TorchPickle``.
struct StateDictSearch {
  private let root: PickleValue
  private let heap: PickleHeap
  private var objects: TorchObjects
  private let limits: Limits

  /// The names that training scripts give the weights.
  private static let wrappers: Set = ["state_dict", "model_state_dict", "model", "net", "params"]

  init(_ pickle: TorchPickle, limits: Limits) {
    root = pickle.heap.root
    heap = pickle.heap
    objects = TorchObjects(pickle)
    self.limits = limits
  }

  /// The state dict at `key`, or the one that is plainly meant.
  ///
  /// - Throws: `.noStateDict` when there is none, `.ambiguous` when several could be meant.
  mutating func stateDict(at key: String?) throws(CheckpointError) -> StateDict {
    var place = Place(path: [], value: root)
    if let key {
      guard let named = self.place(named: key) else { throw missing(key) }
      // What is asked for by name is meant, whatever else lies in it.
      if holdsTensors(named.value) { return try read(named) }
      place = named
    }
    return try read(choose(from: place))
  }

  /// The dotted paths of all dicts that hold tensors, in file order; the root's is empty.
  func candidates() -> [String] {
    places(below: Place(path: [], value: root)).map(\.name)
  }

  // MARK: Choice

  /// A dict and how it is reached from the root.
  private struct Place {
    let path: [String]
    let value: PickleValue
    var name: String { path.joined(separator: ".") }
  }

  /// Follows wrappers inwards, then takes the only dict of tensors that is left.
  private func choose(from start: Place) throws(CheckpointError) -> Place {
    var place = start
    for _ in 0..<limits.dictNesting {
      let wrapped = children(of: place).filter { child in
        StateDictSearch.wrappers.contains(child.path.last ?? "") && !places(below: child).isEmpty
      }
      if wrapped.count > 1 { throw ambiguous(wrapped) }
      guard let only = wrapped.first else { break }
      place = only
    }
    if isEmptyDict(place.value) { return place }

    let all = places(below: place)
    let plain = all.filter { !isAveraged($0) }
    // An averaged copy is taken unasked only where there is nothing else.
    let choices = plain.isEmpty ? all : plain
    guard choices.count <= 1 else { throw ambiguous(choices) }
    guard let choice = choices.first else { throw nothing(place) }
    return choice
  }

  private func isAveraged(_ place: Place) -> Bool {
    place.path.contains { component in
      component.lowercased().split(whereSeparator: { !$0.isLetter }).contains {
        $0 == "ema" || $0 == "swa" || $0 == "averaged"
      }
    }
  }

  /// `key` as the name of an entry of the root or, with dots, of an entry further in.
  private func place(named key: String) -> Place? {
    var place = Place(path: [], value: root)
    var rest = key[...]
    while !rest.isEmpty {
      let inner = children(of: place)
      // A name may hold dots itself: the longest that fits is meant.
      guard
        let next = inner.filter({ rest == $0.path.last ?? "" || rest.hasPrefix(($0.path.last ?? "") + ".") })
          .max(by: { ($0.path.last ?? "").count < ($1.path.last ?? "").count })
      else { return nil }
      place = next
      rest = rest.dropFirst((next.path.last ?? "").count).drop { $0 == "." }
    }
    return place
  }

  // MARK: The tree of dicts

  /// The dicts that are entries of the dict at `place`; one that has several names counts by its first.
  private func children(of place: Place) -> [Place] {
    var seen: Set<PickleReference> = []
    return (objects.entries(place.value) ?? []).compactMap { entry in
      guard let name = heap.string(entry.key), case .node(let reference) = entry.value,
        seen.insert(reference).inserted, objects.entries(entry.value) != nil
      else { return nil }
      return Place(path: place.path + [name], value: entry.value)
    }
  }

  /// All dicts at and below `start` that hold tensors. A dict that is reached twice counts once.
  private func places(below start: Place) -> [Place] {
    var found: [Place] = []
    var visited: Set<PickleReference> = []
    var pending = [start]
    while let place = pending.popLast() {
      guard case .node(let reference) = place.value, visited.insert(reference).inserted else { continue }
      if holdsTensors(place.value) { found.append(place) }
      if place.path.count < limits.dictNesting { pending += children(of: place).reversed() }
    }
    return found
  }

  private func holdsTensors(_ value: PickleValue) -> Bool {
    objects.entries(value)?.contains { heap.string($0.key) != nil && objects.isTensor($0.value) } ?? false
  }

  private func isEmptyDict(_ value: PickleValue) -> Bool {
    objects.entries(value)?.isEmpty ?? false
  }

  // MARK: Reading

  private mutating func read(_ place: Place) throws(CheckpointError) -> StateDict {
    var stateDict = StateDict()
    stateDict.location = place.name
    for (key, value) in objects.entries(place.value) ?? [] {
      guard objects.isTensor(value) else {
        stateDict.otherEntries.append(heap.string(key) ?? "(a key that is no text)")
        continue
      }
      guard let name = heap.string(key) else {
        throw CheckpointError(
          .unsupported,
          "has a tensor whose key is no text. Save it with text for keys, such as a state dict has.")
      }
      do throws(CheckpointError) {
        try stateDict.append(name, objects.tensor(value))
      } catch {
        throw error.forTensor(name)
      }
    }
    return stateDict
  }

  // MARK: Errors

  private func list(_ places: [Place]) -> String {
    places.prefix(20).map { quoted($0.name) }.joined(separator: ", ") + (places.count > 20 ? ", …" : "")
  }

  private func ambiguous(_ places: [Place]) -> CheckpointError {
    CheckpointError(.ambiguous, "holds several state dicts: \(list(places)). Choose one with --key.")
  }

  private func missing(_ key: String) -> CheckpointError {
    let all = places(below: Place(path: [], value: root)).filter { !$0.path.isEmpty }
    let hint = all.isEmpty ? "The whole file is one state dict, or holds none." : "There are: \(list(all))."
    return CheckpointError(.noStateDict, "has no dict named \(quoted(key)). \(hint)")
  }

  private func nothing(_ place: Place) -> CheckpointError {
    CheckpointError(
      .noStateDict,
      place.path.isEmpty
        ? "holds no state dict: what was saved is \(kind(place.value)). Save model.state_dict() instead."
        : "holds no tensors under \(quoted(place.name)).")
  }

  private func kind(_ value: PickleValue) -> String {
    switch value {
    case .none: return "None"
    case .bool, .int, .float: return "a number"
    case .node:
      if objects.isTensor(value) { return "a single tensor" }
      switch heap.node(value) {
      case .string?: return "a string"
      case .bytes?: return "bytes"
      case .tuple?, .list?: return "a list"
      case .dict?: return "a dict without tensors"
      case .object(let object)?: return "an object of \(quoted(heap.globalName(object.callable) ?? "?"))"
      default: return "something else"
      }
    }
  }
}
