// An ordered dictionary from parameter names to tensors: PyTorch's state dict.

/// Named tensors in the order of their file.
///
/// Names are compared by their code units: a composed and a decomposed é are different names.
///
/// ```swift
/// for (name, tensor) in stateDict { print(name, tensor.dtype, tensor.shape) }
/// ```
public struct StateDict: Sendable {
  /// A name and its tensor.
  public typealias Element = (name: String, tensor: Tensor)

  private var elements: [Element] = []
  private var positions: [CodeUnitKey: Int] = [:]

  /// The dotted path of the dict in its checkpoint, such as `state_dict`; empty for the root.
  public var location = ""

  /// Entries of the file's dict that are no tensors, by name; they are no part of the state dict.
  public var otherEntries: [String] = []

  /// Entries of the file's dict that are no tensors but hold some further in, such as a list of
  /// tensors. ``Checkpoint/allTensors()`` reads these too.
  public var nestedEntries: [String] = []

  /// A state dict without entries.
  public init() {}

  /// A state dict of tensors whose names are known to be distinct, with the position of each.
  init(names: [String], tensors: [Tensor], positions: [CodeUnitKey: Int]) {
    elements = zip(names, tensors).map { ($0, $1) }
    self.positions = positions
  }

  /// The tensor named `name`.
  public subscript(name: String) -> Tensor? {
    positions[CodeUnitKey(name)].map { elements[$0].tensor }
  }

  /// All names, in order.
  public var names: [String] { elements.map(\.name) }

  /// The number of elements of all tensors together; `Int.max` if it is beyond that.
  public var elementCount: Int { elements.reduce(0) { $0.saturatingAdding($1.tensor.elementCount) } }

  /// The size of all tensors in bytes; `Int.max` if it is beyond that.
  public var byteCount: Int { elements.reduce(0) { $0.saturatingAdding($1.tensor.byteCount) } }

  /// Adds a tensor at the end.
  ///
  /// - Throws: `.malformed` when the name is taken.
  public mutating func append(_ name: String, _ tensor: Tensor) throws(CheckpointError) {
    let key = CodeUnitKey(name)
    if let taken = positions.updateValue(elements.count, forKey: key) {
      positions[key] = taken
      throw StateDict.nameIsTaken(name)
    }
    elements.append((name, tensor))
  }

  static func nameIsTaken(_ name: String) -> CheckpointError {
    CheckpointError(.malformed, "two tensors have this name.", key: name)
  }

  /// Makes room for `count` tensors, which saves moving them while they are added.
  package mutating func reserveCapacity(_ count: Int) {
    elements.reserveCapacity(count)
    positions.reserveCapacity(count)
  }

  /// Replaces the tensor of a name that is there, in its place; adds it when it is not.
  public mutating func update(_ name: String, _ tensor: Tensor) {
    if let position = positions[CodeUnitKey(name)] {
      elements[position].tensor = tensor
    } else {
      positions[CodeUnitKey(name)] = elements.count
      elements.append((name, tensor))
    }
  }
}

extension StateDict {
  /// A state dict of one-dimensional float32 tensors, in the order of their names.
  ///
  /// ```swift
  /// try StateDict(arrays: ["mean": [0.485, 0.456, 0.406]]).write(to: "statistics.safetensors")
  /// let arrays = try Checkpoint(path: "statistics.safetensors").stateDict().arrays()
  /// ```
  public init(arrays: [String: [Float]]) throws(CheckpointError) {
    for (name, values) in arrays.sorted(by: { $0.key < $1.key }) {
      try append(name, Tensor(shape: [values.count], values))
    }
  }

  /// The elements of all tensors as Float, row-major, by name.
  ///
  /// - Throws: whatever ``Tensor/floats()`` throws.
  public func arrays() throws(CheckpointError) -> [String: [Float]] {
    var arrays: [String: [Float]] = [:]
    for (name, tensor) in self {
      do throws(CheckpointError) {
        arrays[name] = try tensor.floats()
      } catch {
        throw error.forTensor(name)
      }
    }
    return arrays
  }
}

extension StateDict: RandomAccessCollection {
  public var startIndex: Int { 0 }
  public var endIndex: Int { elements.count }
  public subscript(position: Int) -> Element { elements[position] }
}

/// A string that is equal to another only if every code unit is.
package struct CodeUnitKey: Hashable, Sendable {
  package let string: String

  package init(_ string: String) { self.string = string }

  package static func == (a: CodeUnitKey, b: CodeUnitKey) -> Bool {
    let (left, right) = (a.string.utf8, b.string.utf8)
    guard left.count == right.count else { return false }
    // A loop over code units takes ten times as long as memcmp where the text lies in one piece.
    let areEqual = unsafe left.withContiguousStorageIfAvailable { left in
      unsafe right.withContiguousStorageIfAvailable { right in
        unsafe UnsafeRawBufferPointer(left).hasEqualBytes(UnsafeRawBufferPointer(right))
      }
    }
    return areEqual.flatMap { $0 } ?? left.elementsEqual(right)
  }

  package func hash(into hasher: inout Hasher) {
    var copy = string
    copy.withUTF8 { unsafe hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
  }
}

extension String {
  /// The rest after `prefix`, compared by code units, or nil when the string does not begin so.
  package func droppingPrefix(_ prefix: String) -> String? {
    guard utf8.starts(with: prefix.utf8) else { return nil }
    return String(utf8.dropFirst(prefix.utf8.count))
  }
}

extension Int {
  /// The sum, or `Int.max` where it would be beyond that.
  package func saturatingAdding(_ other: Int) -> Int {
    let (sum, overflow) = addingReportingOverflow(other)
    return overflow ? .max : sum
  }
}
