// Names that a pickle may hold to attack whoever loads it for real. Nothing in a pickle is ever
// called here; the list is for telling people what a file would do elsewhere.

extension PickleGlobal {
  /// Whether unpickling this name elsewhere may execute code, touch files or reach the network.
  ///
  /// From protocol 4 on a name may be dotted, and each of its parts is an attribute of the one before:
  /// `os.system` of the module `torch.serialization` is the `os` that this module imports, and
  /// `eval.__call__` of `builtins` is `eval`. So each part may be a module itself, and what is behind
  /// a dangerous function counts as that function.
  ///
  /// `functools.partial` is not among the dangerous names: it calls nothing when it is unpickled, whole modules
  /// hold it for their layers, and a function that it would call is named by the pickle too.
  package var isDangerous: Bool {
    let parts = fullName.utf8.split(separator: UInt8(ascii: ".")).map { String(decoding: $0, as: UTF8.self) }
    // No real name is that deep, and to look at every path in one would take long.
    guard parts.count <= 16 else { return true }
    let count = moduleDepth(parts)
    guard count < parts.count else { return PickleGlobal.isDangerousModule(parts[...]) }
    // Modules often import others under a name with an underscore before it.
    if parts.dropFirst().contains(where: { part in
      PickleGlobal.unmistakableModules.contains(String(part.drop { $0 == "_" }))
    }) {
      return true
    }
    // Attributes of every object that lead to its class, and from there to everything.
    if parts.count > count + 1, parts[count...].contains(where: { $0.hasPrefix("__") && $0.hasSuffix("__") })
    {
      return true
    }
    if PickleGlobal.isDangerous(parts[...], fromModuleOf: count) { return true }
    return parts.indices[count...].contains { PickleGlobal.isDangerous(parts[$0...], fromModuleOf: 1) }
  }

  /// How many of `parts` are the module's: all of `module`, but without classes at its end.
  private func moduleDepth(_ parts: [String]) -> Int {
    let depth = module.utf8.split(separator: UInt8(ascii: ".")).count
    let firstClass = parts.prefix(depth).dropFirst().firstIndex { $0.utf8.first.map(isUpperCase) ?? false }
    return firstClass ?? depth
  }

  private func isUpperCase(_ byte: UInt8) -> Bool { (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) }

  /// Whether a path of names that begins with a module of at least `depth` parts leads to something dangerous.
  private static func isDangerous(_ path: ArraySlice<String>, fromModuleOf depth: Int) -> Bool {
    if let top = path.first, dangerousPackages.contains(top) { return true }
    return (depth..<max(path.count, depth)).contains { count in
      isDangerousModule(path.prefix(count))
        || dangerousNames.contains(path.prefix(count + 1).joined(separator: "."))
    }
  }

  private static func isDangerousModule(_ path: ArraySlice<String>) -> Bool {
    dangerousModules.contains(path.joined(separator: ".")) || dangerousPackages.contains(path.first ?? "")
  }

  /// Modules of which every function is one too many.
  private static let dangerousModules: Set = [
    "sys", "posix", "nt", "posixpath", "ntpath", "socket", "shutil", "pty", "commands", "runpy", "webbrowser",
    "imp", "pickle", "_pickle", "cPickle", "marshal", "shelve", "code", "codeop", "bdb", "pdb", "timeit",
    "profile", "cProfile", "trace", "_thread", "threading", "signal", "resource", "tempfile", "fileinput",
    "httplib", "ftplib", "smtplib", "telnetlib", "ssl", "zipimport", "pkgutil", "linecache", "pydoc", "site",
    "doctest", "logging.config", "torch.hub", "torch.utils.cpp_extension", "torch.package.package_importer",
    "numpy.testing._private.utils", "numpy.f2py", "numpy.f2py.crackfortran", "_posixsubprocess", "_ctypes",
    "atexit", "torch.utils.collect_env", "torch.multiprocessing", "torch.multiprocessing.spawn",
    "torch.distributed.elastic.multiprocessing", "torch.distributed.elastic.multiprocessing.api",
    "torch.utils.bottleneck.__main__", "torch._inductor.codecache", "sympy.parsing.sympy_parser",
    "sympy.utilities.lambdify", "pandas.core.computation.eval", "nturl2path", "readline", "turtle", "sqlite3",
  ]

  /// Packages of which every module is one too many.
  private static let dangerousPackages: Set = [
    "os", "subprocess", "importlib", "ctypes", "asyncio", "multiprocessing", "urllib", "urllib2", "http",
    "requests", "aiohttp", "xmlrpc", "pip", "setuptools", "distutils", "ensurepip", "venv", "idlelib",
    "lib2to3",
    "dill", "cloudpickle", "joblib", "unittest",
  ]

  /// Modules whose names nobody gives to anything else, so that they are what they seem wherever they stand.
  private static let unmistakableModules: Set = [
    "os", "sys", "posix", "nt", "subprocess", "importlib", "ctypes", "pty", "runpy",
  ]

  private static let dangerousNames: Set<String> = {
    var names: Set = [
      "io.open", "io.open_code", "io.FileIO", "_io.open", "_io.open_code", "_io.FileIO", "functools.reduce",
      "_functools.reduce", "operator.attrgetter", "operator.methodcaller", "operator.call",
      "_operator.attrgetter", "_operator.methodcaller", "_operator.call", "types.FunctionType",
      "types.CodeType", "types.LambdaType", "torch.load", "torch.serialization.load", "torch.jit.load",
      "torch.jit._serialization.load", "torch.jit.unsupported_tensor_ops.execWrapper",
      "torch.package.PackageImporter", "torch._inductor.codecache.compile_file", "numpy.load",
      "numpy.fromfile", "numpy.memmap", "numpy.lib.npyio.load", "pandas.read_pickle",
      "pandas.io.pickle.read_pickle", "pandas.eval", "sympy.sympify", "sympy.core.sympify.sympify",
      "sympy.parse_expr", "sympy.lambdify", "torch.fx._symbolic_trace.wrap", "uuid._popen",
      "uuid._get_command_stdout", "platform.popen", "platform._syscmd_ver", "inspect.getattr_static",
      "pathlib.Path.write_text", "pathlib.Path.write_bytes", "pathlib.Path.unlink", "pathlib.Path.open",
      "tarfile.open", "zipfile.ZipFile", "torch.utils._config_module.load_config",
      "torch._dynamo.guards.GuardBuilder.get", "tensorflow.io.write_file", "tensorflow.io.read_file",
      "keras.models.load_model", "keras.saving.load_model", "keras.src.saving.saving_api.load_model",
      "keras.src.models.model.model_from_json", "tensorflow.keras.models.load_model",
      // Modules of torch.fx are pickled with the source of their code, which these run.
      "torch.fx.graph_module.reduce_graph_module", "torch.fx.graph_module.reduce_package_graph_module",
      "torch.fx.graph_module.reduce_deploy_graph_module", "torch.fx.graph_module._forward_from_src",
      "numpy.core.multiarray.fromfile", "numpy._core.multiarray.fromfile",
    ]
    for module in ["builtins", "__builtin__", "__builtins__"] {
      for name in [
        "eval", "exec", "execfile", "compile", "open", "file", "input", "getattr", "setattr", "delattr",
        "__import__", "globals", "locals", "vars", "apply", "breakpoint", "map", "filter", "reload", "exit",
        "quit", "type", "__build_class__",
      ] { names.insert(module + "." + name) }
    }
    return names
  }()
}
