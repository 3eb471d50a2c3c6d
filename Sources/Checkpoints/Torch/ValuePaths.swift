// How the values of a pickle are reached: a tree of steps. Most lead to no tensor, so their names are made
// when one does.

/// The ways to all values that were looked at.
struct ValuePaths {
  /// How a value is reached from the one before.
  enum Step {
    case root
    case key(PickleValue)
    case index(Int)
    case attribute(PickleValue)
    case member(String)
    case argument(Int)
    case namedArguments
    /// A state that is no dict of attributes.
    case state
    /// What is called, where that is an object itself.
    case callable
    /// The key of an entry, by the entry's number.
    case keyOfEntry(Int)
  }

  private var steps: [(parent: Int, step: Step, depth: Int)] = []

  /// The place of a step that follows the one at `parent`.
  mutating func add(_ step: Step, to parent: Int) -> Int {
    steps.append((parent, step, depth(parent) + 1))
    return steps.count - 1
  }

  /// The place of a new root.
  mutating func addRoot() -> Int {
    steps.append((-1, .root, 0))
    return steps.count - 1
  }

  /// The last step to a place.
  func last(_ place: Int) -> Step { steps[place].step }

  /// How many steps lead to a place from its root.
  func depth(_ place: Int) -> Int { steps[place].depth }

  /// The steps to a place, the root first.
  func path(_ place: Int) -> [Step] {
    var path: [Step] = []
    var current = place
    while current >= 0 {
      path.append(steps[current].step)
      current = steps[current].parent
    }
    return path.reversed()
  }
}

extension TensorBuilder {
  /// The part of a dotted path that a step is.
  func name(_ step: ValuePaths.Step) throws(CheckpointError) -> String {
    switch step {
    case .root: pickle.name
    case .key(let key), .attribute(let key): try name(ofKey: key)
    case .index(let index), .argument(let index): String(index)
    case .member(let name): name
    case .namedArguments: "kwargs"
    case .state: "state"
    case .callable: "callable"
    case .keyOfEntry(let index): "keys.\(index)"
    }
  }

  /// How Python would spell the step, for people.
  func access(_ step: ValuePaths.Step) throws(CheckpointError) -> String {
    switch step {
    case .root: pickle.name
    case .key(let key): "[" + (try keyDescription(key)) + "]"
    case .index(let index): "[\(index)]"
    case .attribute, .member: "." + (try name(step))
    case .argument(let index): ".args[\(index)]"
    case .namedArguments: ".kwargs"
    case .state: ".state"
    case .callable: ".callable"
    case .keyOfEntry(let index): ".keys[\(index)]"
    }
  }
}
