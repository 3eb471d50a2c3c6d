// The pickle machine: all opcodes, and programs that no pickler writes.

import Testing

import Checkpoints

@Suite struct PickleMachineTests {
  private func run(_ program: String) throws -> PickleHeap {
    // Each character is a byte.
    try PickleMachine.run(Bytes(program.unicodeScalars.map { UInt8(truncatingIfNeeded: $0.value) })).heap
  }

  private func error(_ program: String) -> CheckpointError? {
    #expect(throws: CheckpointError.self) { try run(program) }
  }

  @Test func constantsOfAllProtocols() throws {
    #expect(try run("I7\n.").root == .int(7))
    #expect(try run("I01\n.").root == .bool(true))
    #expect(try run("L-12L\n.").root == .int(-12))
    #expect(try run("F1.5\n.").root == .float(1.5))
    #expect(try run("J\u{FE}\u{FF}\u{FF}\u{FF}.").root == .int(-2))
    #expect(try run("M\u{01}\u{02}.").root == .int(513))
    #expect(try run("\u{8A}\u{00}.").root == .int(0))
    #expect(try run("\u{8A}\u{02}\u{00}\u{80}.").root == .int(-32768))
    #expect(try run("G\u{3F}\u{F8}\u{00}\u{00}\u{00}\u{00}\u{00}\u{00}.").root == .float(1.5))
    #expect(try run("N.").root == .none)
  }

  @Test func textOfAllProtocols() throws {
    for program in [
      "S'a\\x62\\n'\n.", "Vab\\u000a\n.", "U\u{03}ab\n.", "X\u{03}\0\0\0ab\n.", "\u{8C}\u{03}ab\n.",
    ] {
      let heap = try run(program)
      #expect(heap.string(heap.root) == "ab\n", "\(program.debugDescription)")
    }
  }

  @Test func containersGrowInPlaceAndShareThroughTheMemo() throws {
    let heap = try run("]q\0(K\u{01}K\u{02}eh\0\u{86}.")
    guard case .tuple(let elements)? = heap.node(heap.root) else {
      Issue.record("no tuple")
      return
    }
    #expect(elements[0] == elements[1])
    #expect(heap.sequence(elements[0]) == [.int(1), .int(2)])
  }

  @Test func callsStayNotes() throws {
    let heap = try run("cos\nsystem\n(S'touch x'\ntR.")
    guard case .object(let object)? = heap.node(heap.root) else {
      Issue.record("no object")
      return
    }
    #expect(heap.globalName(object.callable) == "os.system")
    #expect(object.arguments.count == 1)
  }

  @Test func containersGrownOneByOneTakeLinearTime() throws {
    let count = 200_000
    let list = try run("]" + String(repeating: "Na", count: count) + ".")
    #expect(list.sequence(list.root)?.count == count)
    let dict = try run("}" + String(repeating: "K\0Ns", count: count) + ".")
    guard case .dict(let entries)? = dict.node(dict.root) else {
      Issue.record("no dict")
      return
    }
    #expect(entries.count == 2 * count)
  }

  @Test func deepNestingAndCyclesTakeNoStack() throws {
    let depth = 200_000
    let nested = try run(
      String(repeating: "]", count: depth) + String(repeating: "a", count: depth - 1) + ".")
    #expect(nested.nodes.count == depth)
    let cycle = try run("]q\0h\0a.")
    #expect(cycle.sequence(cycle.root) == [cycle.root])
  }

  @Test(arguments: [
    ("", "ends too soon"), ("K", "ends too soon"), (".", "empty stack"), ("a.", "empty stack"),
    ("(.", "empty stack"),
    ("t.", "mark"), ("K\u{01}K\u{02}a.", "plain value"), ("}K\u{01}a.", "no list"),
    ("](K\u{01}u.", "without a value"),
    ("](K\u{01}K\u{01}u.", "no dict"), ("h\u{05}.", "memo"), ("g-1\n.", "memo"), ("Ix\n.", "whole number"),
    ("\u{80}\u{09}.", "protocol 9"), ("\u{95}\u{FF}\0\0\0\0\0\0\0.", "frame"), ("\u{82}\u{01}.", "extension"),
    ("\u{97}.", "outside"), ("\u{8E}\u{FF}\u{FF}\u{FF}\u{FF}\u{FF}\u{FF}\u{FF}\u{FF}.", "length"),
    ("\u{FF}.", "255"),
    ("S'a\n.", "quotes"), ("K\u{01}K\u{02}R.", "no tuple"), ("K\u{01}K\u{02}\u{93}.", "no text"),
  ])
  func brokenProgramsAreErrors(_ program: String, _ words: String) {
    let error = error(program)
    #expect(error?.message.contains(words) == true, "\(program.debugDescription): \(error?.message ?? "")")
  }
}
