// The pickle machine: opcodes in, data out. It has no way to import, call or construct anything:
// a GLOBAL becomes a name, a REDUCE a note of what would be called with what.
//
// The opcodes and what they do are those of CPython's Lib/pickletools.py, protocols 0 to 5.

/// Reads one pickle.
package struct PickleMachine {
  private var reader: ByteReader
  private let limits: Limits
  private var heap = PickleHeap()
  private var stack = PickleStack()
  private var memo = PickleMemo()
  /// Where the global of a name stands in the heap's list.
  private var globalIndices: [CodeUnitKey: Int] = [:]
  /// Where the open frame ends.
  private var frameEnd: Int?
  /// What the nodes keep outside of themselves, about.
  private var contentBytes = 0
  private let memoryLimit: Int
  /// Torch's pickles have some 14 bytes for each node; room for these is made at once.
  private static let bytesPerNode = 16
  /// What one more name of a class or function counts for. It takes less, but a real pickle has few, and each takes time.
  private static let newGlobal = 1024

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
    do throws(CheckpointError) {
      try machine.run()
    } catch {
      var error = error
      error.offset = error.offset ?? machine.reader.position
      throw error
    }
    return (machine.heap, machine.reader.position)
  }

  private init(_ reader: ByteReader, _ limits: Limits, memoryLimit: Int) {
    self.reader = reader
    self.limits = limits
    self.memoryLimit = memoryLimit
  }

  private mutating func run() throws(CheckpointError) {
    let start = reader.position
    heap.nodes.reserveCapacity(min(reader.remaining / PickleMachine.bytesPerNode, 1 << 16))
    for _ in 0..<limits.pickleOpcodes {
      // The pickle ends at its STOP; what follows in the file does not count.
      guard reader.position - start <= limits.pickleBytes else {
        throw CheckpointError(.limitExceeded, "is a pickle of more than \(limits.pickleBytes) bytes.")
      }
      let byte = try reader.read(UInt8.self)
      guard let opcode = PickleOpcode(rawValue: byte) else {
        throw CheckpointError.malformedPickle("holds the byte \(byte) where an opcode is due")
      }
      if opcode == .stop {
        heap.root = try stack.pop()
        heap.memory = contentBytes + MemoryLayout<PickleNode>.stride * heap.nodes.count
        return
      }
      try execute(opcode)
      try closeFrame()
      guard heap.nodes.memory + contentBytes + stack.memory + memo.memory <= memoryLimit else {
        throw CheckpointError(
          .limitExceeded,
          "the pickle describes more objects than a file of this size justifies (\(memoryLimit) bytes of memory). "
            + "Get the file again, or raise Limits.pickleBaseMemory.")
      }
    }
    throw CheckpointError(.limitExceeded, "is a pickle of more than \(limits.pickleOpcodes) opcodes.")
  }

  private mutating func execute(_ opcode: PickleOpcode) throws(CheckpointError) {
    switch opcode {
    case .stop: break  // `run` ends there
    case .proto: try declareProtocol()
    case .frame: try openFrame()

    case .none: stack.push(.none)
    case .newTrue: stack.push(.bool(true))
    case .newFalse: stack.push(.bool(false))
    case .binInt1: stack.push(.int(Int(try reader.read(UInt8.self))))
    case .binInt2: stack.push(.int(Int(try reader.read(UInt16.self))))
    case .binInt: stack.push(.int(Int(try reader.read(Int32.self))))
    case .int, .long: try pushDecimal()
    case .long1: try pushLong(reader.readBytes(Int(reader.read(UInt8.self))))
    case .long4: try pushLong(reader.readBytes(PickleMachine.length(reader.read(Int32.self))))
    case .binFloat: stack.push(.float(try reader.readBigEndianDouble()))
    case .float: try pushDecimalFloat()

    case .binUnicode, .binString, .binBytes:
      try pushRun(
        opcode,
        count: PickleMachine.length(
          opcode == .binString ? Int(reader.read(Int32.self)) : Int(reader.read(UInt32.self))))
    case .shortBinUnicode, .shortBinString, .shortBinBytes:
      try pushRun(opcode, count: Int(reader.read(UInt8.self)))
    case .binUnicode8, .binBytes8, .byteArray8:
      try pushRun(opcode, count: PickleMachine.length(reader.read(UInt64.self)))
    case .unicode: push(.string(PickleText.unescapedUnicode(try reader.readLine())))
    case .string: try pushQuotedString()
    case .nextBuffer: throw unsupported("takes a buffer from outside the pickle")
    case .readOnlyBuffer: _ = try stack.top()

    case .emptyTuple: push(.tuple([]))
    case .tuple1: push(.tuple(try stack.pop(1)))
    case .tuple2: push(.tuple(try stack.pop(2)))
    case .tuple3: push(.tuple(try stack.pop(3)))
    case .tuple: push(.tuple(try stack.popToMark()))
    case .emptyList: push(.list([]))
    case .list: push(.list(try stack.popToMark()))
    case .emptyDict: push(.dict([]))
    case .dict: push(.dict(try stack.popPairsToMark()))
    case .emptySet: push(.set([]))
    case .frozenSet: push(.set(try stack.popToMark()))
    case .append: try append(CollectionOfOne(stack.pop()))
    case .appends: try append(stack.popToMark())
    case .setItem: try setEntries(stack.pop(2))
    case .setItems: try setEntries(stack.popPairsToMark())
    case .addItems: try addItems(stack.popToMark())

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
    case .binPersID: push(.persistent(try stack.pop()))
    case .ext1, .ext2, .ext4: throw unsupported("uses extension codes, whose meaning only its writer knows")

    case .mark: stack.setMark()
    case .pop: try stack.drop()
    case .popMark: _ = try stack.popToMark()
    case .dup: stack.push(try stack.top())
    case .put: try memo.remember(stack.top(), at: readDecimalIndex())
    case .binPut: try memo.remember(stack.top(), at: Int(reader.read(UInt8.self)))
    case .longBinPut: try memo.remember(stack.top(), at: Int(reader.read(UInt32.self)))
    case .memoize: try memo.remember(stack.top(), at: memo.count)
    case .get: try stack.push(memo.recall(readDecimalIndex()))
    case .binGet: try stack.push(memo.recall(Int(reader.read(UInt8.self))))
    case .longBinGet: try stack.push(memo.recall(Int(reader.read(UInt32.self))))
    }
  }

  // MARK: Nodes

  private mutating func allocate(_ node: PickleNode) -> PickleValue {
    heap.nodes.append(node)
    contentBytes += PickleMachine.contentBytes(of: node)
    return .node(PickleReference(index: heap.nodes.count - 1))
  }

  /// The block that most kinds of nodes keep their content in.
  private static func contentBytes(of node: PickleNode) -> Int {
    let block = 32
    return switch node {
    case .string(let text): text.utf8.count > 15 ? block + text.utf8.count : 0
    case .tuple(let values), .list(let values), .dict(let values), .set(let values): size(values)
    case .object(let object): block + MemoryLayout<PickleObject>.stride + size(object.arguments)
    case .bytes, .bigInteger, .global, .persistent: 0
    }

    func size(_ values: [PickleValue]) -> Int {
      values.isEmpty ? 0 : block + MemoryLayout<PickleValue>.stride * values.count
    }
  }

  private mutating func push(_ node: PickleNode) {
    stack.push(allocate(node))
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
    guard size <= UInt64(reader.remaining) else {
      throw CheckpointError.malformedPickle("has a frame that reaches past its end")
    }
    guard frameEnd == nil else { throw CheckpointError.malformedPickle("begins a frame inside another") }
    frameEnd = reader.position + Int(size)
  }

  private mutating func closeFrame() throws(CheckpointError) {
    guard let end = frameEnd, reader.position >= end else { return }
    guard reader.position == end else {
      throw CheckpointError.malformedPickle("has an opcode that reaches past its frame")
    }
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
    stack.push(.int(Int(Int64(bitPattern: value << unused) >> unused)))
  }

  /// INT and LONG of protocol 0: decimal digits, where `00` and `01` are booleans.
  private mutating func pushDecimal() throws(CheckpointError) {
    let line = try readName()
    let digits = line.utf8.last == UInt8(ascii: "L") ? String(line.dropLast()) : line
    if line == "00" || line == "01" {
      stack.push(.bool(line == "01"))
    } else if let value = Int(digits) {
      stack.push(.int(value))
    } else if digits.contains(where: \.isNumber),
      digits.utf8.drop(while: { $0 == 0x2D }).allSatisfy({ (0x30...0x39).contains($0) })
    {
      push(.string(digits))  // beyond 64 bits: nothing that describes a tensor is so large
    } else {
      throw CheckpointError.malformedPickle("holds \(quoted(line)) where a whole number is due")
    }
  }

  private mutating func pushDecimalFloat() throws(CheckpointError) {
    let line = try readName()
    guard let value = Double(line) else {
      throw CheckpointError.malformedPickle("holds \(quoted(line)) where a number is due")
    }
    stack.push(.float(value))
  }

  // MARK: Text and bytes

  /// Text or bytes of a given length. Python 2 keeps both in its strings.
  private mutating func pushRun(_ opcode: PickleOpcode, count: Int) throws(CheckpointError) {
    let bytes = try reader.readBytes(count)
    switch opcode {
    case .binBytes, .shortBinBytes, .binBytes8, .byteArray8: push(.bytes(bytes))
    default: stack.push(allocate(text: bytes))
    }
  }

  private mutating func pushQuotedString() throws(CheckpointError) {
    guard let bytes = PickleText.unquoted(try reader.readLine()) else {
      throw CheckpointError.malformedPickle("holds a string without its quotes")
    }
    stack.push(allocate(text: bytes))
  }

  private mutating func allocate(text bytes: Bytes) -> PickleValue {
    allocate(bytes.utf8.map { .string($0) } ?? .bytes(bytes))
  }

  // MARK: Containers

  private mutating func append(_ values: some Collection<PickleValue>) throws(CheckpointError) {
    let index = try target(of: "appends to")
    contentBytes += 2 * MemoryLayout<PickleValue>.stride * values.count
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
      throw CheckpointError.malformedPickle("appends to something that is no list")
    }
  }

  private mutating func setEntries(_ pairs: [PickleValue]) throws(CheckpointError) {
    let index = try target(of: "sets entries of")
    contentBytes += 2 * MemoryLayout<PickleValue>.stride * pairs.count
    if case .dict(var entries) = heap.nodes[index] {
      heap.nodes[index] = .dict([])
      entries += pairs
      heap.nodes[index] = .dict(entries)
    } else if case .object(var object) = heap.nodes[index] {
      heap.nodes[index] = .dict([])
      object.entries += pairs
      heap.nodes[index] = .object(object)
    } else {
      throw CheckpointError.malformedPickle("sets entries of something that is no dict")
    }
  }

  private mutating func addItems(_ values: [PickleValue]) throws(CheckpointError) {
    let index = try target(of: "adds to")
    contentBytes += 2 * MemoryLayout<PickleValue>.stride * values.count
    guard case .set(var elements) = heap.nodes[index] else {
      throw CheckpointError.malformedPickle("adds to something that is no set")
    }
    heap.nodes[index] = .set([])
    elements += values
    heap.nodes[index] = .set(elements)
  }

  /// The node on top of the stack, which stays there.
  private func target(of deed: String) throws(CheckpointError) -> Int {
    guard case .node(let reference) = try stack.top() else {
      throw CheckpointError.malformedPickle("\(deed) a plain value")
    }
    return reference.index
  }

  // MARK: Names and objects

  private mutating func pushStackGlobal() throws(CheckpointError) {
    let parts = try stack.pop(2)
    guard let module = heap.string(parts[0]), let name = heap.string(parts[1]) else {
      throw CheckpointError.malformedPickle("names a global with something that is no text")
    }
    pushGlobal(module: module, name: name)
  }

  private mutating func pushGlobal(module: String, name: String) {
    stack.push(allocate(globalModule: module, name: name))
  }

  private mutating func allocate(globalModule module: String, name: String) -> PickleValue {
    let fullName = module + "." + name
    let index = globalIndices[CodeUnitKey(fullName)] ?? heap.globals.count
    if index == heap.globals.count {
      globalIndices[CodeUnitKey(fullName)] = index
      heap.globals.append(PickleGlobal(module: module, name: name, fullName: fullName))
      contentBytes += PickleMachine.newGlobal + 2 * fullName.utf8.count
    }
    return allocate(.global(index))
  }

  /// REDUCE and NEWOBJ: a callable and its arguments become a note.
  private mutating func reduce() throws(CheckpointError) {
    let arguments = try stack.pop()
    push(.object(PickleObject(callable: try stack.pop(), arguments: try tuple(arguments))))
  }

  private mutating func reduceWithKeywords() throws(CheckpointError) {
    let (keywords, arguments) = (try stack.pop(), try stack.pop())
    guard case .dict? = heap.node(keywords) else {
      throw CheckpointError.malformedPickle("calls with named arguments that are no dict")
    }
    push(
      .object(
        PickleObject(
          callable: try stack.pop(), arguments: try tuple(arguments), keywordArguments: keywords)))
  }

  private func tuple(_ value: PickleValue) throws(CheckpointError) -> [PickleValue] {
    guard case .tuple(let arguments)? = heap.node(value) else {
      throw CheckpointError.malformedPickle("calls with arguments that are no tuple")
    }
    return arguments
  }

  private mutating func pushInstance() throws(CheckpointError) {
    let callable = try allocate(globalModule: readName(), name: readName())
    push(.object(PickleObject(callable: callable, arguments: try stack.popToMark())))
  }

  private mutating func pushObject() throws(CheckpointError) {
    let values = try stack.popToMark()
    guard let callable = values.first else {
      throw CheckpointError.malformedPickle("makes an object without a class")
    }
    push(.object(PickleObject(callable: callable, arguments: Array(values.dropFirst()))))
  }

  private mutating func build() throws(CheckpointError) {
    let state = try stack.pop()
    let index = try target(of: "sets the state of")
    // BUILD on anything but an object would set attributes, and these hold no tensors of ours.
    guard case .object(var object) = heap.nodes[index] else { return }
    object.state = state
    heap.nodes[index] = .object(object)
  }

  // MARK: Arguments

  private mutating func readName() throws(CheckpointError) -> String {
    let line = try reader.readLine()
    guard let name = line.utf8 else { throw CheckpointError.malformedPickle("holds a name that is no UTF-8") }
    return name
  }

  private mutating func readDecimalIndex() throws(CheckpointError) -> Int {
    let line = try readName()
    guard let index = Int(line), index >= 0 else {
      throw CheckpointError.malformedPickle("holds \(quoted(line)) where a memo entry is due")
    }
    return index
  }

  /// A length, to be compared with what is left by the read that uses it.
  private static func length(_ value: some FixedWidthInteger) throws(CheckpointError) -> Int {
    guard let length = Int(exactly: value), length >= 0 else {
      throw CheckpointError.malformedPickle("declares a length of \(value)")
    }
    return length
  }

  // MARK: Errors

  private func unsupported(_ fact: String) -> CheckpointError {
    CheckpointError(.unsupported, "the pickle \(fact). Save the weights again with torch.save.")
  }
}
