// A module describes a part of a network. It holds no numbers: its parameters are declared in a
// scope when it is made, and calling it records operations in a graph.

public import Checkpoints

/// A part of a network, as torch.nn.Module: written once, in PyTorch's words.
///
/// Write `forward`; call the module itself, so that its output can be asked for by its path.
public protocol Module: Sendable {
  /// The module's place in its tree, such as `layer3.0`.
  var path: String { get }

  /// Records what the module does with `x` and returns the result.
  func forward(_ x: Value) -> Value

  /// Which names of a state dict belong to the module tree that this is the root of.
  ///
  /// The default takes away what a wrapper put before every name.
  ///
  /// - Parameter parameters: the names that the tree declares.
  func mapping(of source: StateDict, parameters: [String]) -> KeyMapping
}

extension Module {
  public func mapping(of source: StateDict, parameters: [String]) -> KeyMapping {
    KeyMapping(of: source, expecting: parameters)
  }

  /// Runs `forward` and notes its result under the module's path.
  public func callAsFunction(_ x: Value) -> Value {
    x.passing(path, forward)
  }
}

/// Modules one after the other, as torch.nn.Sequential: named by their positions.
public struct Sequential: Module {
  public let path: String
  /// The modules in order.
  public let modules: [any Module]

  /// - Parameter modules: what makes each of them, in the scope of its position: `{ ReLU($0) }`.
  public init(_ scope: Scope, _ modules: [(Scope) -> any Module]) {
    path = scope.path
    self.modules = modules.enumerated().map { index, make in make(scope[index]) }
  }

  public func forward(_ x: Value) -> Value {
    modules.reduce(x) { value, module in module(value) }
  }
}
