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

  /// Each difference by itself, as the definitions have it.
  private func plain(
    _ a: [Float], _ b: [Float], _ tolerance: Tolerance
  ) -> (largest: Double, relative: Double, place: Int, count: Int, cosine: Double) {
    var (largest, relative, place, count) = (0.0, 0.0, 0, 0)
    var (product, left, right) = (0.0, 0.0, 0.0)
    for (index, (x, y)) in zip(a, b).enumerated() {
      let (p, q) = (Double(x), Double(y))
      (product, left, right) = (product + p * q, left + p * p, right + q * q)
      if x == y || x.isNaN && y.isNaN { continue }
      let apart = (p - q).isNaN ? .infinity : abs(p - q)
      if apart == .infinity || apart > tolerance.absolute + tolerance.relative * abs(q) { count += 1 }
      if apart > largest { (largest, place) = (apart, index) }
      relative = max(relative, apart / abs(q))
    }
    return (largest, relative, place, count, product / (left * right).squareRoot())
  }

  /// Lengths around those of blocks, pieces and parts; rounding in every element, some equal, some not finite.
  @Test(arguments: [1, 3, 4, 1023, 1024, 1025, 16_383, 16_385, 262_145, 600_000])
  func longTensorsAreMeasuredAsShortOnes(_ count: Int) throws {
    var state: UInt64 = 42
    func random() -> Float {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Float(Int64(bitPattern: state) >> 40) / 65_536
    }
    let special: [Float] = [
      .nan, .infinity, -.infinity, 0, -0.0, .leastNonzeroMagnitude, .greatestFiniteMagnitude,
    ]
    for hasSpecial in [false, true] {
      var (a, b): ([Float], [Float]) = ([], [])
      for index in 0..<count {
        let x = random()
        a.append(hasSpecial && index % 1_777 == 5 ? special[index % special.count] : x)
        b.append(
          hasSpecial && index % 1_313 == 5
            ? special[index % special.count] : index % 3 == 0 ? x : x + x * 1e-4)
      }
      b[count / 2] = a[count / 2] + 1000
      for tolerance in [Tolerance(), Tolerance(absolute: 1e-3), Tolerance(absolute: 1e-4, relative: 5e-5)] {
        let expected = plain(a, b, tolerance)
        let difference = try stateDict([("x", [count], a)]).difference(
          from: stateDict([("x", [count], b)]), tolerance: tolerance)
        guard case .values(let values)? = difference.differing.first?.kind else {
          #expect(expected.count == 0, "\(count)")
          continue
        }
        #expect(values.count == expected.count && values.index == [expected.place], "\(count), \(hasSpecial)")
        #expect(values.largestAbsolute == expected.largest && values.largestRelative == expected.relative)
        #expect(
          values.cosine == expected.cosine || values.cosine.isNaN && expected.cosine.isNaN
            || abs(values.cosine - expected.cosine) < 1e-12)
      }
    }
  }

  /// Differences and quotients that grow from block to block, as far as Float goes and further.
  @Test(arguments: [
    (Float(1), Float(1)), (0x1p-149, 0x1p-149), (0x1p-126, 0x1.8p-126), (0x1p100, 0x1p-149),
    (0x1p127, -0x1p127),
  ])
  func growingDifferencesAreMeasured(_ here: Float, _ there: Float) throws {
    let count = 20_000
    var (a, b) = ([Float](repeating: here, count: count), [Float](repeating: there, count: count))
    for place in stride(from: 100, to: count, by: 700) {
      a[place] = a[place - 1].nextUp
      b[place] = place % 3 == 0 ? -there : there.nextDown
    }
    a[count - 1] = 3
    b[count - 1] = 2
    let expected = plain(a, b, Tolerance())
    let difference = try stateDict([("x", [count], a)]).difference(from: stateDict([("x", [count], b)]))
    guard case .values(let values)? = difference.differing.first?.kind else {
      Issue.record("no difference")
      return
    }
    #expect(values.count == expected.count && values.index == [expected.place])
    #expect(values.largestAbsolute == expected.largest && values.largestRelative == expected.relative)
  }

  @Test func theFirstOfEqualDifferencesIsTold() throws {
    let count = 600_000
    let a = [Float](repeating: 1, count: count)
    var b = a
    for place in [5_000, 300_000, 599_999] { b[place] = 2 }
    let difference = try stateDict([("x", [count], a)]).difference(from: stateDict([("x", [count], b)]))
    guard case .values(let values)? = difference.differing.first?.kind else {
      Issue.record("no difference")
      return
    }
    #expect(values.index == [5_000] && values.count == 3)
  }

  @Test func largeTensorsOfOtherTypesAreComparedWithinATolerance() throws {
    let count = 300_000
    let values = (0..<count).map { Float($0 % 256) }
    let halves = values.flatMap { value -> [UInt8] in
      let bits = UInt16(truncatingIfNeeded: value.bitPattern >> 16)
      return [UInt8(truncatingIfNeeded: bits), UInt8(truncatingIfNeeded: bits >> 8)]
    }
    var b = StateDict()
    try b.append("x", Tensor(dtype: .bfloat16, shape: [count], storage: Storage(Bytes(halves))))
    let a = try stateDict([("x", [count], values)])
    #expect(try a.difference(from: b, tolerance: Tolerance(absolute: 1e-9)).isEmpty)
  }

  @Test func viewsAreComparedByTheirValues() throws {
    let storage = try Tensor(shape: [6], [0, 3, 1, 4, 2, 5]).storage
    var (a, b) = (StateDict(), StateDict())
    try a.append("x", Tensor(dtype: .float32, shape: [2, 3], strides: [1, 2], storage: storage))
    try b.append("x", Tensor(shape: [2, 3], [0, 1, 2, 3, 4, 5]))
    #expect(try a.difference(from: b).isEmpty)
    #expect(try a.exactDifference(from: b).isEmpty)
  }

  @Test func signsOfZeroCountWhereEveryByteDoes() throws {
    let (a, b) = (try stateDict([("x", [2], [0, 1])]), try stateDict([("x", [2], [-0.0, 1])]))
    #expect(try a.difference(from: b).isEmpty)
    guard case .bytes? = try a.exactDifference(from: b).differing.first?.kind else {
      Issue.record("no difference")
      return
    }
  }
}
