// From what was chosen as the state dict to its tensors.

extension TensorBuilder {
  /// Adds the tensor that `value` describes; the parts of one whose class alone understands them
  /// are added one by one.
  func append(
    _ value: PickleValue, as name: String, to stateDict: inout StateDict
  ) throws(CheckpointError) {
    do throws(CheckpointError) {
      guard let parts = try wrappedTensors(value) else { return try stateDict.append(name, tensor(value)) }
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

  /// Adds what `state_dict()` of a module would list.
  func append(module: PickleValue, to stateDict: inout StateDict) throws(CheckpointError) {
    let listing = try listModule(module)
    for member in listing.tensors {
      if member.isNumber, let tensor = try TensorBuilder.tensor(ofNumber: member.value) {
        try stateDict.append(member.name, tensor)
      } else if isUninitialized(member.value) {
        stateDict.otherEntries.append(member.name)
      } else {
        try append(member.value, as: member.name, to: &stateDict)
      }
    }
    var visited = [Bool](repeating: false, count: heap.nodes.count)
    for member in listing.packed where holdsTensorsInside(member.value, &visited) {
      stateDict.nestedEntries.append(member.name)
    }
  }

  /// Whether `value` is a parameter or buffer of a lazy module, which has no elements before its first use.
  private func isUninitialized(_ value: PickleValue) -> Bool {
    guard case .object(let object)? = heap.node(value) else { return false }
    return pickle.known(pickle.classValue(object)) == .uninitializedTensor
  }

  /// Whether a value refers to others. A file may hold hundreds of thousands of small ones that do not.
  func mayHoldTensors(_ value: PickleValue) -> Bool {
    switch heap.node(value) {
    case .tuple(let values)?, .list(let values)?, .set(let values)?, .dict(let values)?:
      return TensorBuilder.refer(values)
    case .object(let object)?:
      if case .node? = object.state { return true }
      if case .global? = heap.node(object.callable), object.keywordArguments == nil {
        return [object.arguments, object.items, object.entries].contains(where: TensorBuilder.refer)
      }
      return true
    default: return false
    }
  }

  private static func refer(_ values: [PickleValue]) -> Bool {
    values.count > 8 || values.contains { if case .node = $0 { true } else { false } }
  }

  /// Whether there is a tensor anywhere in `value`, as far as that was not visited before. What else
  /// lies in a checkpoint may be large, so no names are made on the way.
  func holdsTensorsInside(_ value: PickleValue, _ visited: inout [Bool]) -> Bool {
    var pending = [value]
    func add(_ entries: [PickleValue]) {
      for (index, value) in entries.enumerated() {
        // A scalar of NumPy's is a key like a number.
        if !index.isMultiple(of: 2) || !isScalar(value) { pending.append(value) }
      }
    }
    while let value = pending.popLast() {
      guard case .node(let reference) = value, !visited[reference.index] else { continue }
      visited[reference.index] = true
      if isTensor(value) { return true }
      switch heap[reference] {
      case .tuple(let values), .list(let values), .set(let values): pending += values
      case .dict(let entries): add(entries)
      case .object(let object):
        // The state and the arguments are visited as values of their own, for objects may share them.
        pending += object.arguments + object.items
        add(object.entries)
        pending += [object.state, object.keywordArguments].compactMap { $0 }
        pending.append(object.callable)
      default: break
      }
    }
    return false
  }
}
