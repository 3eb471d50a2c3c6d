// Which of the places that were found is the state dict, and what to say when that is not plain.

extension StateDictSearch {
  /// Follows wrappers inwards, then takes the only place with tensors that is left.
  func choose(from starts: [Place]) throws(CheckpointError) -> Place {
    guard var place = starts.first else { throw try nothing(nil) }
    for _ in 0..<limits.dictNesting {
      var wrapped: [Place] = []
      for child in try children(of: place, .named) where isWrapper(child) {
        if try !places(below: [child], .named, most: 1).isEmpty { wrapped.append(child) }
      }
      if wrapped.count > 1 { throw try ambiguous(wrapped) }
      guard let only = wrapped.first else { break }
      place = only
    }
    if try isEmpty(place) { return place }

    // What a state dict looks like comes first; an averaged copy, lists and optimizers are taken
    // unasked only where there is nothing else.
    if let choice = try onlyWeights(of: places(below: [place], .named)) { return choice }
    let rest = [place] + starts.dropFirst()
    let anything = try places(below: rest, .anything)
    if let choice = try onlyWeights(of: anything) { return choice }
    if let choice = try only(anything) { return choice }
    if passedOptimizer, let choice = try only(places(below: rest, .anything, optimizers: true)) {
      return choice
    }
    throw try nothing(place)
  }

  /// The only place whose tensors are weights, no averaged ones if there are others.
  private func onlyWeights(of places: [Place]) throws(CheckpointError) -> Place? {
    var weights: [Place] = []
    for place in places where try !holdsOnlyScalars(place) { weights.append(place) }
    var first: [Place] = []
    for place in weights where try !isAveraged(place) { first.append(place) }
    return try only(first.isEmpty ? weights : first)
  }

  /// - Throws: `.ambiguous` when there are several.
  private func only(_ places: [Place]) throws(CheckpointError) -> Place? {
    if places.count > 1 { throw try ambiguous(places) }
    return places.first
  }

  /// `key` as the name of an entry of the root or, with dots, of an entry further in.
  func place(named key: String) throws(CheckpointError) -> Place? {
    if key.isEmpty { return roots.first }
    for root in roots {
      let name = builders[root.part].pickle.name
      if name.isEmpty || root.part == 0 {
        if let inner = try follow(key[...], from: root) { return inner }
      } else if key == name {
        return root
      } else if let rest = key.droppingPrefix(name + "."), let inner = try follow(rest[...], from: root) {
        return inner
      }
    }
    return nil
  }

  private func follow(_ key: Substring, from start: Place) throws(CheckpointError) -> Place? {
    var place = start
    var rest = key
    while !rest.isEmpty {
      // A name may hold dots itself: the longest that fits is meant.
      var next: (place: Place, name: String)?
      for child in try children(of: place, .anything) {
        let name = try builders[child.part].name(paths.last(child.path))
        guard name.utf8.count <= rest.utf8.count, rest == name || rest.hasPrefix(name + "."),
          name.count > next?.name.count ?? -1
        else { continue }
        next = (child, name)
      }
      guard let next else { return nil }
      place = next.place
      rest = rest.dropFirst(next.name.count).drop { $0 == "." }
    }
    return place
  }

  // MARK: Errors

  private func list(_ places: [Place]) throws(CheckpointError) -> String {
    try names(of: Array(places.prefix(20))).map { quoted($0) }.joined(separator: ", ")
      + (places.count > 20 ? ", …" : "")
  }

  private func ambiguous(_ places: [Place]) throws(CheckpointError) -> CheckpointError {
    CheckpointError(
      .ambiguous,
      "holds several state dicts: \(try list(places)). Choose one with --key, or take all with --all."
    )
  }

  func missing(_ key: String) throws(CheckpointError) -> CheckpointError {
    let all = try places(below: roots, .named).filter(hasName)
    let hint =
      all.isEmpty ? "The whole file is one state dict, or holds none." : "There are: \(try list(all))."
    return CheckpointError(.noStateDict, "has no dict named \(quoted(key)). \(hint)")
  }

  private func nothing(_ place: Place?) throws(CheckpointError) -> CheckpointError {
    guard let place, hasName(place) else {
      return CheckpointError(
        .noStateDict,
        "holds no state dict: what was saved is \(try kind(place)). Save model.state_dict() instead.")
    }
    return CheckpointError(.noStateDict, "holds no tensors under \(quoted(try name(of: place))).")
  }

  private func kind(_ place: Place?) throws(CheckpointError) -> String {
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
      if try isModule(place) { return "a module without parameters" }
      return "an object of \(quoted(pickle.className(object) ?? "?"))"
    default: return "something else"
    }
  }
}
