// rsw show as a process: numbers, text as NumPy prints it, what is extracted, what is refused.

import Checkpoints
import Foundation
import TestSupport
import Testing

@Suite struct ShowToolTests {
  private let digits = Fixtures.path("digits/resnet18-digits.pth")

  private func json(_ outcome: Tool.Outcome) throws -> [String: Any] {
    try #require(JSONSerialization.jsonObject(with: Data(outcome.output.utf8)) as? [String: Any])
  }

  @Test func aTensorIsToldInFull() throws {
    let folder = try TemporaryFolder()
    var stateDict = StateDict()
    let values: [Float] = [1, 2, 2, 3, 3, 3, 4, 4, 17, 0, .nan, .infinity]
    try stateDict.append("a.weight", Tensor(shape: [3, 4], values))
    try stateDict.write(to: folder.path("a.safetensors"), as: .safetensors)
    let outcome = try Tool.run("show", folder.path("a.safetensors"), "a.weight")
    #expect(outcome.status == 0 && outcome.errors.isEmpty, "\(outcome.errors)")
    #expect(
      outcome.output == """
        name        a.weight
        dtype       float32
        shape       [3, 4], 12 values, 48 bytes
        minimum     0
        maximum     17
        mean        3.9
        deviation   4.526588
        zeros       1
        NaN         1
        infinities  1
        values      [1. 2. 2. 3. 3. 3. 4. 4. ...]

            0  to  1.062  2  ###########################
        1.062  to  2.125  2  ###########################
        2.125  to  3.188  3  ########################################
        3.188  to   4.25  2  ###########################
         4.25  to  5.312  0
        5.312  to  6.375  0
        6.375  to  7.438  0
        7.438  to    8.5  0
          8.5  to  9.562  0
        9.562  to  10.62  0
        10.62  to  11.69  0
        11.69  to  12.75  0
        12.75  to  13.81  0
        13.81  to  14.88  0
        14.88  to  15.94  0
        15.94  to     17  1  #############

        """, "\(outcome.output)")
    let json = try json(Tool.run("show", folder.path("a.safetensors"), "a.weight", "--json"))
    #expect(json["schema"] as? Int == 1 && json["shape"] as? [Int] == [3, 4] && json["nan"] as? Int == 1)
    #expect(json["min"] as? Double == 0 && json["max"] as? Double == 17 && json["mean"] as? Double == 3.9)
    #expect((json["first"] as? [String])?.first == "1." && json["distinct"] is NSNull)
    let histogram = try #require(json["histogram"] as? [String: Any])
    #expect(
      (histogram["counts"] as? [Int])?.reduce(0, +) == 10 && (histogram["edges"] as? [Double])?.count == 17)
  }

  /// What NumPy 2 prints for these arrays.
  @Test(
    arguments: [
      ([1, 2.5, -3.25], "[ 1.    2.5  -3.25]"),
      ([0.1, 1234.1, -7, 0], "[ 1.0000e-01  1.2341e+03 -7.0000e+00  0.0000e+00]"),
      ([1e-5, 1, 2], "[1.e-05 1.e+00 2.e+00]"), ([1e9, 1.5, 3], "[1.0e+09 1.5e+00 3.0e+00]"),
      ([.nan, .infinity, -.infinity, 1.5], "[ nan  inf -inf  1.5]"),
      ([0.057844467, -0.017389431, 0.00012345678], "[ 0.05784447 -0.01738943  0.00012346]"),
      ([100, 200, 300], "[100. 200. 300.]"), ([0, 0], "[0. 0.]"),
      ([-0.0, 1e-3, 5e-4], "[-0.      0.001   0.0005]"),
      ([123456.7, 0.001], "[1.234567e+05 1.000000e-03]"), ([], "[]"),
    ] as [([Float], String)])
  func valuesArePrintedAsNumPyPrintsThem(_ values: [Float], _ text: String) throws {
    let folder = try TemporaryFolder()
    try Tensor(shape: [values.count], values).writeNPY(to: folder.path("a.npy"))
    let outcome = try Tool.run("show", folder.path("a.npy"), "tensor")
    #expect(outcome.output.contains("\nvalues      \(text)\n"), "\(outcome.output)")
  }

  @Test(
    arguments: [
      (DType.int8, [1, 0xEC, 100], "[  1 -20 100]"), (.bool, [1, 0], "[ True False]"),
      (
        .uint64, [UInt8](repeating: 255, count: 8) + [1, 0, 0, 0, 0, 0, 0, 0],
        "[18446744073709551615                    1]"
      ),
      (.float16, [0x66, 0x2E, 0, 0x40], "[0.1 2. ]"),
      (.complex64, [0, 0, 0x80, 0x3F, 0, 0, 0, 0x40, 0, 0, 0, 0x80, 0, 0, 0, 0xBF], "[ 1.+2.j  -0.-0.5j]"),
    ] as [(DType, [UInt8], String)])
  func everyTypeIsPrinted(_ dtype: DType, _ bytes: [UInt8], _ text: String) throws {
    let folder = try TemporaryFolder()
    let tensor = try Tensor(dtype: dtype, shape: [bytes.count / dtype.size], storage: Storage(Bytes(bytes)))
    try tensor.writeNPY(to: folder.path("a.npy"))
    let outcome = try Tool.run("show", folder.path("a.npy"), "tensor")
    #expect(outcome.output.contains("\nvalues      \(text)\n"), "\(outcome.output)")
  }

  @Test func extractedTensorsAreTheSame() throws {
    let folder = try TemporaryFolder()
    let output = folder.path("w.npy")
    #expect(try Tool.run("show", digits, "layer1.0.conv1.weight", "--npy", output).status == 0)
    let tensor = try #require(Checkpoint(path: digits).stateDict()["layer1.0.conv1.weight"])
    #expect(try Tensor(npy: output).contiguousBytes() == tensor.contiguousBytes())
    #expect(try Tensor(npy: output).shape == tensor.shape)
    let refused = try Tool.run("show", digits, "fc.bias", "--npy", output)
    #expect(refused.status == 73 && refused.errors.contains("--force") && refused.output.isEmpty)
    #expect(try Tool.run("show", digits, "fc.bias", "--npy", output, "--force").status == 0)
    #expect(try Tensor(npy: output).shape == [10])
  }

  @Test func typesThatNumPyLacksBecomeFloat32AndAreSaidTo() throws {
    let folder = try TemporaryFolder()
    var stateDict = StateDict()
    try stateDict.append(
      "x", Tensor(dtype: .bfloat16, shape: [2], storage: Storage(Bytes([0x80, 0x3F, 0, 0xC0]))))
    try stateDict.append(
      "y", Tensor(dtype: .float8_e4m3fn, shape: [2], storage: Storage(Bytes([0x38, 0xFE]))))
    try stateDict.write(to: folder.path("a.safetensors"), as: .safetensors)
    for (name, values) in [("x", [1, -2]), ("y", [1, -448])] as [(String, [Float])] {
      let outcome = try Tool.run("show", folder.path("a.safetensors"), name, "--npy", folder.path(name))
      #expect(outcome.status == 0 && outcome.errors.contains("is no type of NumPy's"), "\(outcome.errors)")
      #expect(try Tensor(npy: folder.path(name)).floats() == values)
    }
  }

  @Test func torchvisionsNamesAreUnderstoodInEveryDialect() throws {
    let file = Fixtures.path("dialects/caffe2-detectron/model.pkl")
    let json = try json(Tool.run("show", file, "layer1.0.conv1.weight", "--json"))
    #expect(json["name"] as? String == "res2_0_branch2a_w", "\(json)")
  }

  @Test func unknownNamesGetTheNearest() throws {
    let outcome = try Tool.run("show", digits, "layer1.0.bn1.weigth")
    #expect(outcome.status == 65 && outcome.output.isEmpty)
    #expect(
      outcome.errors.contains("Did you mean \"layer1.0.bn1.weight\" or ")
        && outcome.errors.contains("rsw ls"),
      "\(outcome.errors)")
    let far = try Tool.run("show", digits, "positional_embedding")
    #expect(far.status == 65 && far.errors.contains("is not in the file. 'rsw ls' lists the names."))
  }

  @Test func otherTensorsAreDescribedOrRefused() throws {
    let quantized = try Tool.run(
      "show", Fixtures.path("reading/quantized-per-channel.pth"), try name("quantized-per-channel"))
    #expect(quantized.status == 0 && quantized.output.contains("scales along axis"), "\(quantized.errors)")
    let sparse = try Tool.run("show", Fixtures.path("reading/sparse-coo.pth"), try name("sparse-coo"))
    #expect(
      sparse.status == 0 && sparse.output.contains("sparse_coo; the values are those of the dense tensor"))
    let meta = try Tool.run("show", Fixtures.path("reading/meta-tensor.pth"), try name("meta-tensor"))
    #expect(meta.status == 65 && meta.errors.contains("meta device"), "\(meta.errors)")
  }

  /// The name of a fixture's first tensor that is more than a view.
  private func name(_ fixture: String) throws -> String {
    let stateDict = try Checkpoint(path: Fixtures.path("reading/\(fixture).pth")).stateDict()
    return try #require(stateDict.first { $0.tensor.layout != .strided || $0.tensor.quantization != nil })
      .name
  }

  @Test func blocksAreDrawnOnATerminalOnly() throws {
    let show = ["show", digits, "fc.bias"]
    #expect(try Tool.runOnTerminal(show, ["TERM": "xterm"]).contains("█"))
    for environment in Tool.plainTerminals {
      let plain = try Tool.runOnTerminal(show, environment)
      #expect(plain.contains("#") && plain.utf8.allSatisfy { $0 < 0x80 }, "\(plain)")
    }
    #expect(try Tool.run("show", digits, "fc.bias").output.utf8.allSatisfy { $0 < 0x80 })
  }
}
