// A module describes a part of a network. It holds no numbers: its parameters are declared in a
// scope when it is made, and calling it records operations in a graph.

/// A part of a network, as torch.nn.Module: written once, in PyTorch's words.
///
/// Write `forward`; call the module itself, so that its output can be asked for by its path.
public protocol Module: Sendable {
  /// The module's place in its tree, such as `layer3.0`.
  var path: String { get }

  /// Records what the module does with `x` and returns the result.
  func forward(_ x: Value) -> Value
}

extension Module {
  /// Runs `forward` and notes its result under the module's path.
  public func callAsFunction(_ x: Value) -> Value {
    let result = forward(x)
    result.name(path)
    return result
  }
}

/// Modules one after the other, as torch.nn.Sequential: named by their positions.
public struct Sequential: Module {
  public let path: String
  /// The modules in order.
  public let modules: [any Module]

  /// Makes the module at each position from that position's scope.
  public init(_ scope: Scope, _ builders: [(Scope) -> any Module]) {
    path = scope.path
    modules = builders.enumerated().map { index, build in build(scope[index]) }
  }

  public func forward(_ x: Value) -> Value {
    modules.reduce(x) { value, module in module(value) }
  }
}
