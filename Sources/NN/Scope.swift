// Where parameters are declared. A module's initialiser takes a scope and declares its parameters
// under the scope's path: the key stands once, in the line that makes the layer.

public import Checkpoints

/// A place in a module tree, such as `layer3.0.conv1`, that declares parameters.
///
/// ```swift
/// conv1 = Conv2d(scope["conv1"], 3, 64, kernel: 7, stride: 2, padding: 3, bias: false)
/// ```
public struct Scope {
  /// The path from the root, as PyTorch writes it; empty for the root.
  public let path: String
  private let declarations: Declarations

  /// The root of a new module tree.
  package init() {
    path = ""
    declarations = Declarations()
  }

  private init(path: String, declarations: Declarations) {
    self.path = path
    self.declarations = declarations
  }

  /// The place of the submodule `name`.
  public subscript(name: String) -> Scope {
    Scope(path: path.isEmpty ? name : path + "." + name, declarations: declarations)
  }

  /// The place of the submodule at `index` of a sequence.
  public subscript(index: Int) -> Scope { self[String(index)] }

  /// Declares a parameter or buffer, which must have its name to itself.
  ///
  /// - Returns: its full name, by which a graph refers to it.
  @discardableResult
  public func declare(
    _ name: String, _ shape: [Int], _ initialization: Initialization, isBuffer: Bool = false,
    isOptional: Bool = false
  ) -> String {
    let fullName = self[name].path
    declarations.parameters.append(
      Parameter(
        name: fullName, shape: shape, initialization: initialization, isBuffer: isBuffer,
        isOptional: isOptional))
    return fullName
  }

  /// Everything declared so far in this tree, in order.
  package var parameters: [Parameter] { declarations.parameters }

  private final class Declarations {
    var parameters: [Parameter] = []
  }
}

extension [Parameter] {
  /// The names that are declared more than once.
  package var repeatedNames: [String] {
    var (seen, repeated): (Set<String>, [String]) = ([], [])
    for parameter in self where !seen.insert(parameter.name).inserted { repeated.append(parameter.name) }
    return repeated
  }
}

/// A tensor that a model needs: a parameter or a buffer.
public struct Parameter: Sendable {
  /// The full name, such as `layer1.0.bn1.running_mean`.
  public let name: String
  /// The shape, as PyTorch has it.
  public let shape: [Int]
  /// The values before weights are loaded.
  public let initialization: Initialization
  /// Whether it is a statistic or counter that training updates, not a learned parameter.
  public let isBuffer: Bool
  /// Whether a state dict may lack it, as older files lack `num_batches_tracked`.
  public let isOptional: Bool

  /// The element type that is expected; floating-point types convert to it.
  public var dtype: DType { initialization == .count ? .int64 : .float32 }
}
