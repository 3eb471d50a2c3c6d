// Names that a pickle may hold to attack whoever loads it for real. Nothing in a pickle is ever
// called here; the list is for telling people what a file would do elsewhere.

extension PickleGlobal {
  /// Whether unpickling this name elsewhere may execute code, touch files or reach the network.
  package var isDangerous: Bool {
    let top = String(decoding: module.utf8.prefix { $0 != UInt8(ascii: ".") }, as: UTF8.self)
    return PickleGlobal.dangerousModules.contains(module) || PickleGlobal.dangerousPackages.contains(top)
      || PickleGlobal.dangerousNames.contains(fullName)
  }

  /// Modules of which every function is one too many.
  private static let dangerousModules: Set = [
    "sys", "posix", "nt", "posixpath", "ntpath", "socket", "shutil", "pty", "commands", "runpy", "webbrowser",
    "imp", "pickle", "_pickle", "cPickle", "marshal", "shelve", "code", "codeop", "bdb", "pdb", "timeit",
    "profile", "cProfile", "trace", "_thread", "threading", "signal", "resource", "tempfile", "fileinput",
    "httplib", "ftplib", "smtplib", "telnetlib", "ssl", "zipimport", "pkgutil", "linecache", "pydoc", "site",
    "doctest", "logging.config", "torch.hub", "torch.utils.cpp_extension", "torch.package.package_importer",
    "numpy.testing._private.utils", "numpy.f2py", "numpy.f2py.crackfortran", "_posixsubprocess", "_ctypes",
  ]

  /// Packages of which every module is one too many.
  private static let dangerousPackages: Set = [
    "os", "subprocess", "importlib", "ctypes", "asyncio", "multiprocessing", "urllib", "urllib2", "http",
    "requests", "aiohttp", "xmlrpc", "pip", "setuptools", "distutils", "ensurepip", "venv", "idlelib",
    "lib2to3",
    "dill", "cloudpickle", "joblib", "unittest",
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
      "pandas.io.pickle.read_pickle",
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
