// What differs is found and measured, and nothing else is.

import Checkpoints
import Testing

@Suite struct DifferenceTests {
  private func stateDict(_ tensors: [(String, [Int], [Float])]) throws -> StateDict {
    var stateDict = StateDict()
    for (name, shape, values) in tensors { try stateDict.append(name, Tensor(shape: shape, values)) }
    return stateDict
  }

  @Test func everyDifferenceIsFound() throws {
    let a = try stateDict([
      ("same", [2], [1, 2]), ("value", [2, 2], [1, 2, 3, 4]), ("shape", [2], [1, 2]), ("a", [1], [1]),
    ])
    let b = try stateDict([
      ("b", [1], [1]), ("shape", [1, 2], [1, 2]), ("value", [2, 2], [1, 2, 3.5, 4]), ("same", [2], [1, 2]),
    ])
    let difference = try a.difference(from: b)
    #expect(difference.onlyHere == ["a"] && difference.onlyThere == ["b"] && difference.equal == 1)
    #expect(difference.differing.map(\.name) == ["value", "shape"] && !difference.isEmpty)
    guard case .values(let values) = difference.differing[0].kind,
      case .shape([2], [1, 2]) = difference.differing[1].kind
    else {
      Issue.record("\(difference.differing)")
      return
    }
    #expect(values.largestAbsolute == 0.5 && abs(values.largestRelative - 0.5 / 3.5) < 1e-12)
    #expect(values.index == [1, 0] && values.count == 1)
    let cosine = (1 + 4 + 10.5 + 16) / (30.0 * (1 + 4 + 12.25 + 16)).squareRoot()
    #expect(abs(values.cosine - cosine) < 1e-12)
  }

  @Test(arguments: [
    (0.5, 0.0, true), (0.49, 0.0, false), (0.0, 0.5 / 3.5 + 1e-9, true), (0.0, 0.14, false),
    (0.25, 0.0715, true),
  ])
  func tolerancesAreTakenAsNumPyTakesThem(_ absolute: Double, _ relative: Double, _ isEqual: Bool) throws {
    let (a, b) = (try stateDict([("x", [2], [1, 3])]), try stateDict([("x", [2], [1, 3.5])]))
    #expect(
      try a.difference(from: b, tolerance: Tolerance(absolute: absolute, relative: relative)).isEmpty
        == isEqual)
  }

  @Test func typesDifferUnlessATolerancePermits() throws {
    let a = try stateDict([("x", [2], [1, 3])])
    var b = StateDict()
    try b.append("x", Tensor(dtype: .float16, shape: [2], storage: Storage(Bytes([0, 0x3C, 0, 0x42]))))
    guard case .dtype(.float32, .float16)? = try a.difference(from: b).differing.first?.kind else {
      Issue.record("the types are the same")
      return
    }
    #expect(try a.difference(from: b, tolerance: Tolerance(absolute: 1e-9)).isEmpty)
  }

  @Test func notANumberIsEqualToItselfOnly() throws {
    let a = try stateDict([("x", [2], [.nan, 1]), ("y", [1], [.nan]), ("z", [1], [.infinity])])
    let b = try stateDict([("x", [2], [.nan, 1]), ("y", [1], [1]), ("z", [1], [-.infinity])])
    let difference = try a.difference(from: b, tolerance: Tolerance(absolute: 1e30, relative: 1e30))
    #expect(difference.differing.map(\.name) == ["y", "z"])
  }

  @Test func otherTypesAreComparedByteByByte() throws {
    var (a, b) = (StateDict(), StateDict())
    try a.append(
      "x", Tensor(dtype: .complex64, shape: [1], storage: Storage(Bytes([UInt8](repeating: 1, count: 8)))))
    try b.append(
      "x", Tensor(dtype: .complex64, shape: [1], storage: Storage(Bytes([UInt8](repeating: 2, count: 8)))))
    guard case .bytes? = try a.difference(from: b).differing.first?.kind else {
      Issue.record("no difference")
      return
    }
    #expect(try a.difference(from: a).isEmpty)
  }
}
