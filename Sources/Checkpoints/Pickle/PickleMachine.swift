// The pickle machine: opcodes in, data out. It has no way to import, call or construct anything:
// a GLOBAL becomes a name, a REDUCE a note of what would be called with what.
//
// The opcodes and what they do are those of CPython's Lib/pickletools.py, protocols 0 to 5.

/// Reads one pickle.
package struct PickleMachine {
  private var reader: ByteReader
  private let limits: Limits
  private var heap = PickleHeap()
  private var stack: [PickleValue] = []
  /// For each open MARK, how high the stack stood.
  private var marks: [Int] = []
  private var memo: [PickleValue] = []
  /// Memo entries whose numbers leave gaps.
  private var sparseMemo: [Int: PickleValue] = [:]
  /// Where the global of a name stands in the heap's list.
  private var globalIndices: [String: Int] = [:]
  /// Where the open frame ends.
  private var frameEnd: Int?
  /// What the nodes take, about.
  private var nodeBytes = 0
  private let memoryLimit: Int

  /// Runs the pickle that begins at `position` to its STOP.
  ///
  /// - Parameter fileSize: the size of the file that the pickle is in, which justifies its memory.
  /// - Returns: what it describes, and where the byte behind STOP is.
  package static func run(
    _ bytes: Bytes, at position: Int = 0, fileSize: Int? = nil, limits: Limits = .standard
  ) throws(CheckpointError) -> (heap: PickleHeap, end: Int) {
    var machine = PickleMachine(
      ByteReader(bytes, at: position), limits,
      memoryLimit: limits.pickleMemory(forFileOf: fileSize ?? bytes.count))
    try machine.run()
    return (machine.heap, machine.reader.position)
  }

  private init(_ reader: ByteReader, _ limits: Limits, memoryLimit: Int) {
    self.reader = reader
    self.limits = limits
    self.memoryLimit = memoryLimit
  }

  private mutating func run() throws(CheckpointError) {
    let start = reader.position
    for _ in 0..<limits.pickleOpcodes {
      // The pickle ends at its STOP; what follows in the file does not count.
      guard reader.position - start <= limits.pickleBytes else {
        throw CheckpointError(.limitExceeded, "is a pickle of more than \(limits.pickleBytes) bytes.")
      }
      let byte = try reader.read(UInt8.self)
      guard let opcode = PickleOpcode(rawValue: byte) else {
        throw malformed("holds the byte \(byte) where an opcode is due")
      }
      if opcode == .stop {
        heap.root = try pop()
        return
      }
      try execute(opcode)
      try closeFrame()
      guard memory <= memoryLimit else {
        throw CheckpointError(
          .limitExceeded,
          "the pickle describes more objects than a file of this size justifies (\(memoryLimit) bytes of memory). "
            + "Get the file again, or raise Limits.pickleBaseMemory.", offset: reader.position)
      }
    }
    throw CheckpointError(.limitExceeded, "is a pickle of more than \(limits.pickleOpcodes) opcodes.")
  }

  private mutating func execute(_ opcode: PickleOpcode) throws(CheckpointError) {
    switch opcode {
    case .stop: break  // `run` ends there
    case .proto: try declareProtocol()
    case .frame: try openFrame()

    case .none: stack.append(.none)
    case .newTrue: stack.append(.bool(true))
    case .newFalse: stack.append(.bool(false))
    case .binInt1: stack.append(.int(Int(try reader.read(UInt8.self))))
    case .binInt2: stack.append(.int(Int(try reader.read(UInt16.self))))
    case .binInt: stack.append(.int(Int(try reader.read(Int32.self))))
    case .int, .long: try pushDecimal()
    case .long1: try pushLong(reader.readBytes(Int(reader.read(UInt8.self))))
    case .long4: try pushLong(reader.readBytes(length(reader.read(Int32.self))))
    case .binFloat: stack.append(.float(try reader.readBigEndianDouble()))
    case .float: try pushDecimalFloat()

    case .binUnicode, .binString, .binBytes:
      try pushRun(
        opcode,
        count: length(opcode == .binString ? Int(reader.read(Int32.self)) : Int(reader.read(UInt32.self))))
    case .shortBinUnicode, .shortBinString, .shortBinBytes:
      try pushRun(opcode, count: Int(reader.read(UInt8.self)))
    case .binUnicode8, .binBytes8, .byteArray8: try pushRun(opcode, count: length(reader.read(UInt64.self)))
    case .unicode: push(.string(PickleText.unescapedUnicode(try reader.readLine())))
    case .string: try pushQuotedString()
    case .nextBuffer: throw unsupported("takes a buffer from outside the pickle")
    case .readOnlyBuffer: _ = try top()

    case .emptyTuple: push(.tuple([]))
    case .tuple1: push(.tuple(try pop(1)))
    case .tuple2: push(.tuple(try pop(2)))
    case .tuple3: push(.tuple(try pop(3)))
    case .tuple: push(.tuple(try popToMark()))
    case .emptyList: push(.list([]))
    case .list: push(.list(try popToMark()))
    case .emptyDict: push(.dict([]))
    case .dict: push(.dict(try popPairs()))
    case .emptySet: push(.set([]))
    case .frozenSet: push(.set(try popToMark()))
    case .append: try append(pop(1))
    case .appends: try append(popToMark())
    case .setItem: try setEntries(pop(2))
    case .setItems: try setEntries(popPairs())
    case .addItems: try addItems(popToMark())

    case .global: try pushGlobal(module: readName(), name: readName())
    case .stackGlobal: try pushStackGlobal()
    case .reduce, .newObj: try reduce()
    case .newObjEx: try reduceWithKeywords()
    case .inst: try pushInstance()
    case .obj: try pushObject()
    case .build: try build()
    case .persID:
      let identifier = allocate(text: try reader.readLine())
      push(.persistent(identifier))
    case .binPersID: push(.persistent(try pop()))
    case .ext1, .ext2, .ext4: throw unsupported("uses extension codes, whose meaning only its writer knows")

    case .mark: marks.append(stack.count)
    case .pop: try drop()
    case .popMark: _ = try popToMark()
    case .dup: stack.append(try top())
    case .put: try remember(at: readDecimalIndex())
    case .binPut: try remember(at: Int(reader.read(UInt8.self)))
    case .longBinPut: try remember(at: Int(reader.read(UInt32.self)))
    case .memoize: try remember(at: memo.count + sparseMemo.count)
    case .get: try recall(readDecimalIndex())
    case .binGet: try recall(Int(reader.read(UInt8.self)))
    case .longBinGet: try recall(Int(reader.read(UInt32.self)))
    }
  }

  // MARK: Stack

  /// What the machine holds in memory, about.
  private var memory: Int {
    nodeBytes + MemoryLayout<PickleValue>.stride * (stack.count + memo.count) + 8 * marks.count
      + 48 * sparseMemo.count
  }

  private mutating func allocate(_ node: PickleNode) -> PickleValue {
    heap.nodes.append(node)
    nodeBytes += PickleMachine.bytes(of: node)
    return .node(PickleReference(index: heap.nodes.count - 1))
  }

  /// What a node takes: itself, and the block that most kinds keep their content in.
  private static func bytes(of node: PickleNode) -> Int {
    let block = 32
    let content =
      switch node {
      case .string(let text): text.utf8.count > 15 ? block + text.utf8.count : 0
      case .tuple(let values), .list(let values), .dict(let values), .set(let values): size(values)
      case .object(let object): block + MemoryLayout<PickleObject>.stride + size(object.arguments)
      case .bytes, .bigInteger, .global, .persistent: 0
      }
    return MemoryLayout<PickleNode>.stride + content

    func size(_ values: [PickleValue]) -> Int {
      values.isEmpty ? 0 : block + MemoryLayout<PickleValue>.stride * values.count
    }
  }

  private mutating func push(_ node: PickleNode) {
    stack.append(allocate(node))
  }

  /// Values below the last MARK are out of reach until it is closed.
  private var floor: Int { marks.last ?? 0 }

  private func top() throws(CheckpointError) -> PickleValue {
    guard stack.count > floor, let top = stack.last else { throw malformed("takes from an empty stack") }
    return top
  }

  private mutating func pop() throws(CheckpointError) -> PickleValue {
    let value = try top()
    stack.removeLast()
    return value
  }

  private mutating func pop(_ count: Int) throws(CheckpointError) -> [PickleValue] {
    guard stack.count - floor >= count else { throw malformed("takes from an empty stack") }
    defer { stack.removeLast(count) }
    return Array(stack.suffix(count))
  }

  private mutating func popToMark() throws(CheckpointError) -> [PickleValue] {
    guard let mark = marks.popLast() else { throw malformed("closes a mark that was never set") }
    defer { stack.removeSubrange(mark...) }
    return Array(stack[mark...])
  }

  private mutating func popPairs() throws(CheckpointError) -> [PickleValue] {
    let values = try popToMark()
    guard values.count.isMultiple(of: 2) else { throw malformed("gives a dict a key without a value") }
    return values
  }

  /// POP takes a MARK away when nothing lies above it.
  private mutating func drop() throws(CheckpointError) {
    if stack.count == floor, !marks.isEmpty { marks.removeLast() } else { _ = try pop() }
  }

  // MARK: Memo

  private mutating func remember(at index: Int) throws(CheckpointError) {
    let value = try top()
    if index < memo.count {
      memo[index] = value
    } else if index == memo.count {
      memo.append(value)
      if !sparseMemo.isEmpty { sparseMemo[index] = nil }
    } else {
      sparseMemo[index] = value
    }
  }

  private mutating func recall(_ index: Int) throws(CheckpointError) {
    guard let value = index < memo.count ? memo[index] : sparseMemo[index] else {
      throw malformed("recalls entry \(index) of its memo, which was never put there")
    }
    stack.append(value)
  }

  // MARK: Constants

  private mutating func declareProtocol() throws(CheckpointError) {
    let version = Int(try reader.read(UInt8.self))
    guard version <= 5 else { throw unsupported("is of protocol \(version); 0 to 5 are known") }
    heap.protocolVersion = max(heap.protocolVersion, version)
  }

  /// A frame says how many bytes of whole opcodes follow.
  private mutating func openFrame() throws(CheckpointError) {
    let size = try reader.read(UInt64.self)
    guard size <= UInt64(reader.remaining) else { throw malformed("has a frame that reaches past its end") }
    guard frameEnd == nil else { throw malformed("begins a frame inside another") }
    frameEnd = reader.position + Int(size)
  }

  private mutating func closeFrame() throws(CheckpointError) {
    guard let end = frameEnd, reader.position >= end else { return }
    guard reader.position == end else { throw malformed("has an opcode that reaches past its frame") }
    frameEnd = nil
  }

  /// LONG1 and LONG4: two's complement, little-endian, of any length.
  private mutating func pushLong(_ bytes: Bytes) {
    // Bytes that only repeat the sign say nothing.
    let sign: UInt8 = (bytes.load(UInt8.self, at: bytes.count - 1) ?? 0) & 0x80 == 0 ? 0 : 0xFF
    var count = bytes.count
    while count > 8, bytes.load(UInt8.self, at: count - 1) == sign,
      (bytes.load(UInt8.self, at: count - 2) ?? 0) & 0x80 == sign & 0x80
    { count -= 1 }
    guard count <= 8 else { return push(.bigInteger(bytes)) }
    var value: UInt64 = 0
    for byte in bytes.array.prefix(count).reversed() { value = value << 8 | UInt64(byte) }
    let unused = 64 - 8 * count
    stack.append(.int(Int(Int64(bitPattern: value << unused) >> unused)))
  }

  /// INT and LONG of protocol 0: decimal digits, where `00` and `01` are booleans.
  private mutating func pushDecimal() throws(CheckpointError) {
    let line = try readName()
    let digits = line.utf8.last == UInt8(ascii: "L") ? String(line.dropLast()) : line
    if line == "00" || line == "01" {
      stack.append(.bool(line == "01"))
    } else if let value = Int(digits) {
      stack.append(.int(value))
    } else if digits.contains(where: \.isNumber),
      digits.utf8.drop(while: { $0 == 0x2D }).allSatisfy({ (0x30...0x39).contains($0) })
    {
      push(.string(digits))  // beyond 64 bits: nothing that describes a tensor is so large
    } else {
      throw malformed("holds \(quoted(line)) where a whole number is due")
    }
  }

  private mutating func pushDecimalFloat() throws(CheckpointError) {
    let line = try readName()
    guard let value = Double(line) else { throw malformed("holds \(quoted(line)) where a number is due") }
    stack.append(.float(value))
  }

  // MARK: Text and bytes

  /// Text or bytes of a given length. Python 2 keeps both in its strings.
  private mutating func pushRun(_ opcode: PickleOpcode, count: Int) throws(CheckpointError) {
    let bytes = try reader.readBytes(count)
    switch opcode {
    case .binBytes, .shortBinBytes, .binBytes8, .byteArray8: push(.bytes(bytes))
    default: stack.append(allocate(text: bytes))
    }
  }

  private mutating func pushQuotedString() throws(CheckpointError) {
    guard let bytes = PickleText.unquoted(try reader.readLine()) else {
      throw malformed("holds a string without its quotes")
    }
    stack.append(allocate(text: bytes))
  }

  private mutating func allocate(text bytes: Bytes) -> PickleValue {
    allocate(bytes.utf8.map { .string($0) } ?? .bytes(bytes))
  }

  // MARK: Containers

  private mutating func append(_ values: [PickleValue]) throws(CheckpointError) {
    let index = try target(of: "appends to")
    nodeBytes += 2 * MemoryLayout<PickleValue>.stride * values.count
    // The empty node leaves `elements` the only owner, so that it grows in place.
    if case .list(var elements) = heap.nodes[index] {
      heap.nodes[index] = .list([])
      elements += values
      heap.nodes[index] = .list(elements)
    } else if case .object(var object) = heap.nodes[index] {
      heap.nodes[index] = .list([])
      object.items += values
      heap.nodes[index] = .object(object)
    } else {
      throw malformed("appends to something that is no list")
    }
  }

  private mutating func setEntries(_ pairs: [PickleValue]) throws(CheckpointError) {
    let index = try target(of: "sets entries of")
    nodeBytes += 2 * MemoryLayout<PickleValue>.stride * pairs.count
    if case .dict(var entries) = heap.nodes[index] {
      heap.nodes[index] = .dict([])
      entries += pairs
      heap.nodes[index] = .dict(entries)
    } else if case .object(var object) = heap.nodes[index] {
      heap.nodes[index] = .dict([])
      object.entries += pairs
      heap.nodes[index] = .object(object)
    } else {
      throw malformed("sets entries of something that is no dict")
    }
  }

  private mutating func addItems(_ values: [PickleValue]) throws(CheckpointError) {
    let index = try target(of: "adds to")
    nodeBytes += 2 * MemoryLayout<PickleValue>.stride * values.count
    guard case .set(var elements) = heap.nodes[index] else {
      throw malformed("adds to something that is no set")
    }
    heap.nodes[index] = .set([])
    elements += values
    heap.nodes[index] = .set(elements)
  }

  /// The node on top of the stack, which stays there.
  private func target(of deed: String) throws(CheckpointError) -> Int {
    guard case .node(let reference) = try top() else { throw malformed("\(deed) a plain value") }
    return reference.index
  }

  // MARK: Names and objects

  private mutating func pushStackGlobal() throws(CheckpointError) {
    let parts = try pop(2)
    guard let module = heap.string(parts[0]), let name = heap.string(parts[1]) else {
      throw malformed("names a global with something that is no text")
    }
    pushGlobal(module: module, name: name)
  }

  private mutating func pushGlobal(module: String, name: String) {
    stack.append(allocate(globalModule: module, name: name))
  }

  private mutating func allocate(globalModule module: String, name: String) -> PickleValue {
    let fullName = module + "." + name
    let index = globalIndices[fullName] ?? heap.globals.count
    if index == heap.globals.count {
      globalIndices[fullName] = index
      heap.globals.append(PickleGlobal(module: module, name: name, fullName: fullName))
      nodeBytes += 2 * (128 + fullName.utf8.count)
    }
    return allocate(.global(index))
  }

  /// REDUCE and NEWOBJ: a callable and its arguments become a note.
  private mutating func reduce() throws(CheckpointError) {
    let parts = try pop(2)
    guard case .tuple(let arguments)? = heap.node(parts[1]) else {
      throw malformed("calls with arguments that are no tuple")
    }
    push(.object(PickleObject(callable: parts[0], arguments: arguments)))
  }

  private mutating func reduceWithKeywords() throws(CheckpointError) {
    let parts = try pop(3)
    guard case .tuple(let arguments)? = heap.node(parts[1]) else {
      throw malformed("calls with arguments that are no tuple")
    }
    guard case .dict? = heap.node(parts[2]) else {
      throw malformed("calls with named arguments that are no dict")
    }
    push(.object(PickleObject(callable: parts[0], arguments: arguments, keywordArguments: parts[2])))
  }

  private mutating func pushInstance() throws(CheckpointError) {
    let callable = try allocate(globalModule: readName(), name: readName())
    push(.object(PickleObject(callable: callable, arguments: try popToMark())))
  }

  private mutating func pushObject() throws(CheckpointError) {
    let values = try popToMark()
    guard let callable = values.first else { throw malformed("makes an object without a class") }
    push(.object(PickleObject(callable: callable, arguments: Array(values.dropFirst()))))
  }

  private mutating func build() throws(CheckpointError) {
    let state = try pop()
    let index = try target(of: "sets the state of")
    // BUILD on anything but an object would set attributes, and these hold no tensors of ours.
    guard case .object(var object) = heap.nodes[index] else { return }
    object.state = state
    heap.nodes[index] = .object(object)
  }

  // MARK: Arguments

  private mutating func readName() throws(CheckpointError) -> String {
    let line = try reader.readLine()
    guard let name = line.utf8 else { throw malformed("holds a name that is no UTF-8") }
    return name
  }

  private mutating func readDecimalIndex() throws(CheckpointError) -> Int {
    let line = try readName()
    guard let index = Int(line), index >= 0 else {
      throw malformed("holds \(quoted(line)) where a memo entry is due")
    }
    return index
  }

  /// A length, to be compared with what is left by the read that uses it.
  private func length(_ value: some FixedWidthInteger) throws(CheckpointError) -> Int {
    guard let length = Int(exactly: value), length >= 0 else {
      throw malformed("declares a length of \(value)")
    }
    return length
  }

  // MARK: Errors

  private func malformed(_ fact: String) -> CheckpointError {
    CheckpointError(.malformed, "the pickle \(fact). Get the file again.", offset: reader.position)
  }

  private func unsupported(_ fact: String) -> CheckpointError {
    CheckpointError(
      .unsupported, "the pickle \(fact). Save the weights again with torch.save.", offset: reader.position)
  }
}
