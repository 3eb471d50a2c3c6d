// Which names in a pickle are said to be dangerous, and which ordinary ones are not.

import Checkpoints
import TestSupport
import Testing

@Suite struct DangerousNamesTests {
  /// Whether a pickle that names `name` in `module`, as protocol 4 does it, is said to be dangerous.
  private func isDangerous(_ module: String, _ name: String) throws -> Bool {
    func text(_ text: String) -> [UInt8] { [0x8C, UInt8(text.utf8.count)] + Array(text.utf8) }
    let stackGlobal: UInt8 = 0x93
    let program = [0x80, 4] + text(module) + text(name) + [stackGlobal, UInt8(ascii: ".")]
    let heap = try PickleMachine.run(Bytes(program)).heap
    return try #require(heap.globals.first).isDangerous
  }

  @Test(arguments: [
    ("os", "system"), ("builtins", "eval"), ("torch.hub", "load"), ("torch.utils.collect_env", "run"),
    ("torch.multiprocessing", "spawn"), ("torch.multiprocessing.spawn", "spawn"), ("bdb", "Bdb.run"),
    ("bdb.Bdb", "run"), ("profile", "Profile.run"), ("profile.Profile", "run"), ("sympy", "sympify"),
    ("sympy.parsing.sympy_parser", "parse_expr"), ("pandas", "eval"), ("keras.models", "load_model"),
    ("atexit", "register"), ("torch.fx._symbolic_trace", "wrap"), ("uuid", "_popen"),
    // Through modules that a module imports, and through attributes of objects
    ("torch.serialization", "os.system"), ("torch.serialization.os", "system"), ("torch", "hub.load"),
    ("torch.nn.utils", "rnn.warnings.sys"), ("collections", "_sys.modules.pop"), ("torch", "builtins.eval"),
    ("builtins", "eval.__call__"), ("collections", "OrderedDict.__class__.__base__"),
    ("numpy", "testing.sys"), ("a", String(repeating: "b.", count: 100) + "c"),
  ])
  func namesThatReachCode(_ module: String, _ name: String) throws {
    #expect(try isDangerous(module, name))
  }

  @Test(arguments: [
    ("collections", "OrderedDict"), ("torch._utils", "_rebuild_tensor_v2"), ("torch", "FloatStorage"),
    ("numpy.core.multiarray", "_reconstruct"), ("torch.nn.modules.conv", "Conv2d"), ("builtins", "dict"),
    ("functools", "partial"), ("models.code.net", "Net"), ("code.model", "Net"), ("trace.models", "Net"),
    ("models.yolo", "Model"), ("utils.http", "Client"), ("numpy", "trace"), ("models", "trace"),
    ("torch.optim.lr_scheduler", "StepLR.step"), ("argparse", "Namespace"), ("models", "Net.Inner.Kind"),
    ("pathlib", "PosixPath"), ("", "Net"),
  ])
  func ordinaryNames(_ module: String, _ name: String) throws {
    #expect(try !isDangerous(module, name))
  }

  @Test func everyDottedNameOfAFileIsFlagged() throws {
    let globals = try Checkpoint(path: Fixtures.path("bad/names-dotted.pkl")).globals
    #expect(globals.count == 7)
    for global in globals { #expect(global.isDangerous, "\(global.name)") }
  }
}
