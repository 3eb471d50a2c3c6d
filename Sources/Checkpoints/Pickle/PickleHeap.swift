// What a pickle describes, as plain data: a flat array of nodes that refer to each other by index.
//
// Shared references and cycles are just equal indices. Nothing here owns another node, so a
// hundred thousand nested lists are freed without recursion.

/// A value in a pickle: a small constant, or a reference to a node of the heap.
package enum PickleValue: Equatable, Sendable {
  case none
  case bool(Bool)
  case int(Int)
  case float(Double)
  case node(PickleReference)
}

/// The index of a node in its heap.
package struct PickleReference: Hashable, Sendable {
  package let index: Int
}

/// What a reference refers to.
package enum PickleNode: Sendable {
  case string(String)
  /// Bytes, bytearrays, and text that is no valid UTF-8.
  case bytes(Bytes)
  /// An integer beyond 64 bits: little-endian two's complement.
  case bigInteger(Bytes)
  case tuple([PickleValue])
  case list([PickleValue])
  /// Keys and values in turn.
  case dict([PickleValue])
  case set([PickleValue])
  /// The name of a class or function, by its index in ``PickleHeap/globals``.
  case global(Int)
  /// What the file's writer keeps outside the pickle, such as a storage.
  case persistent(PickleValue)
  indirect case object(PickleObject)
}

/// The name of a class or function. It is a name and nothing else.
package struct PickleGlobal: Sendable {
  package let module: String
  package let name: String
  /// `module.name`.
  package let fullName: String
}

/// A call that a pickle asks for, as data: it is recorded, never made.
package struct PickleObject: Sendable {
  /// The class or function, as a rule a global.
  package let callable: PickleValue
  package let arguments: [PickleValue]
  /// A dict of arguments by name, where NEWOBJ_EX gives one.
  package var keywordArguments: PickleValue?
  /// What BUILD would set.
  package var state: PickleValue?
  /// What APPEND would append.
  package var items: [PickleValue] = []
  /// What SETITEM would set: keys and values in turn.
  package var entries: [PickleValue] = []
}

/// All nodes of one pickle and its result.
package struct PickleHeap: Sendable {
  package internal(set) var nodes: [PickleNode] = []
  /// Every class and function that the pickle names, once each, in order of appearance.
  package internal(set) var globals: [PickleGlobal] = []
  package internal(set) var root = PickleValue.none
  /// The bytes that the nodes take, about.
  package internal(set) var memory = 0
  /// The highest protocol that the pickle declares; 0 when it declares none.
  package internal(set) var protocolVersion = 0

  package subscript(reference: PickleReference) -> PickleNode { nodes[reference.index] }

  /// The node that `value` refers to, if it is a reference.
  package func node(_ value: PickleValue) -> PickleNode? {
    if case .node(let reference) = value { return nodes[reference.index] }
    return nil
  }

  package func string(_ value: PickleValue) -> String? {
    if case .string(let string)? = node(value) { return string }
    return nil
  }

  package func int(_ value: PickleValue) -> Int? {
    if case .int(let int) = value { return int }
    return nil
  }

  /// The elements of a tuple or list.
  package func sequence(_ value: PickleValue) -> [PickleValue]? {
    switch node(value) {
    case .tuple(let elements), .list(let elements): elements
    default: nil
    }
  }

  /// `module.name` of a global.
  package func globalName(_ value: PickleValue) -> String? {
    if case .global(let index)? = node(value) { return globals[index].fullName }
    return nil
  }
}
