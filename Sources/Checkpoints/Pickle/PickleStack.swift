// What the pickle machine works with: a stack that marks divide, and a memo of values to recall.

/// The values that opcodes take and leave. Those below the last mark are out of reach until it is
/// closed.
struct PickleStack {
  private var values: [PickleValue] = []
  /// For each open MARK, how high the stack stood.
  private var marks: [Int] = []

  /// What it takes in memory, about.
  var memory: Int { values.memory + marks.memory }

  private var floor: Int { marks.last ?? 0 }

  mutating func push(_ value: PickleValue) { values.append(value) }

  mutating func setMark() { marks.append(values.count) }

  func top() throws(CheckpointError) -> PickleValue {
    guard values.count > floor, let top = values.last else { throw PickleStack.empty }
    return top
  }

  mutating func pop() throws(CheckpointError) -> PickleValue {
    let value = try top()
    values.removeLast()
    return value
  }

  mutating func pop(_ count: Int) throws(CheckpointError) -> [PickleValue] {
    guard values.count - floor >= count else { throw PickleStack.empty }
    return take(from: values.count - count)
  }

  mutating func popToMark() throws(CheckpointError) -> [PickleValue] {
    guard let mark = marks.popLast() else {
      throw CheckpointError.malformedPickle("closes a mark that was never set")
    }
    return take(from: mark)
  }

  /// The values from `start` on. They are copied one by one: a slice would own the stack too when it
  /// is cut, which copies all of it.
  private mutating func take(from start: Int) -> [PickleValue] {
    var taken: [PickleValue] = []
    taken.reserveCapacity(values.count - start)
    for index in start..<values.count { taken.append(values[index]) }
    values.removeLast(values.count - start)
    return taken
  }

  /// Keys and values in turn.
  mutating func popPairsToMark() throws(CheckpointError) -> [PickleValue] {
    let values = try popToMark()
    guard values.count.isMultiple(of: 2) else {
      throw CheckpointError.malformedPickle("gives a dict a key without a value")
    }
    return values
  }

  /// POP takes a MARK away when nothing lies above it.
  mutating func drop() throws(CheckpointError) {
    if values.count == floor, !marks.isEmpty { marks.removeLast() } else { _ = try pop() }
  }

  private static let empty = CheckpointError.malformedPickle("takes from an empty stack")
}

extension Array {
  /// What it takes in memory when the next element comes: where there is no room left, that is twice as much in a new
  /// place, beside the old one.
  var memory: Int { MemoryLayout<Element>.stride * (count == capacity ? 3 : 1) * capacity }
}

/// Values by number.
struct PickleMemo {
  private var entries: [PickleValue] = []
  /// Entries whose numbers leave gaps.
  private var sparse: [Int: PickleValue] = [:]

  /// What it takes in memory, about.
  var memory: Int {
    let sparseEntry = 48
    return entries.memory + sparseEntry * sparse.count
  }

  /// The number of entries, which MEMOIZE numbers the next one by.
  var count: Int { entries.count + sparse.count }

  mutating func remember(_ value: PickleValue, at index: Int) {
    if index < entries.count {
      entries[index] = value
    } else if index == entries.count {
      entries.append(value)
      if !sparse.isEmpty { sparse[index] = nil }
    } else {
      sparse[index] = value
    }
  }

  func recall(_ index: Int) throws(CheckpointError) -> PickleValue {
    guard let value = index < entries.count ? entries[index] : sparse[index] else {
      throw CheckpointError.malformedPickle("recalls entry \(index) of its memo, which was never put there")
    }
    return value
  }
}

extension CheckpointError {
  /// A pickle that breaks the machine's rules; where it does so, the machine adds.
  static func malformedPickle(_ fact: String) -> CheckpointError {
    CheckpointError(.malformed, "the pickle \(fact). Get the file again.")
  }
}
