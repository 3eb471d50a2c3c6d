// The names of a state dict as a tree: what stands between dots is a level, with the elements below it added up.

import Checkpoints

struct TensorTree {
  private struct Node {
    let label: String
    var children: [Int] = []
    var tensor: Tensor?
    var elementCount = 0
  }

  /// A parent and the name of its child.
  private struct Edge: Hashable {
    let parent: Int
    let label: CodeUnitKey
  }

  private var nodes = [Node(label: "")]
  private var children: [Edge: Int] = [:]

  /// Names with more levels have the rest of them on the last one.
  private static let mostLevels = 64

  init(_ stateDict: StateDict) {
    for (name, tensor) in stateDict { add(name, tensor) }
  }

  private mutating func add(_ name: String, _ tensor: Tensor) {
    var node = 0
    let levels = name.split(
      separator: ".", maxSplits: TensorTree.mostLevels - 1, omittingEmptySubsequences: false)
    for level in levels {
      let edge = Edge(parent: node, label: CodeUnitKey(String(level)))
      if let child = children[edge] {
        node = child
      } else {
        nodes.append(Node(label: String(level)))
        nodes[node].children.append(nodes.count - 1)
        node = nodes.count - 1
        children[edge] = node
      }
      nodes[node].elementCount = nodes[node].elementCount.saturatingAdding(tensor.elementCount)
    }
    nodes[node].tensor = tensor
  }

  /// The characters of branches.
  private struct Branches {
    let inner: String, last: String, line: String, space: String

    static let drawn = Branches(inner: "├─ ", last: "└─ ", line: "│  ", space: "   ")
    static let plain = Branches(inner: "|- ", last: "`- ", line: "|  ", space: "   ")
  }

  /// A line for each level and tensor: name, type and shape, elements.
  ///
  /// - Parameter drawing: whether lines may be more than ASCII.
  func text(drawing: Bool) -> String {
    let branches = drawing ? Branches.drawn : .plain
    var rows: [[String]] = []
    /// What is yet to be printed, the next one last, each with what stands before its name and its children's.
    var waiting: [(node: Int, branch: String, indent: String)] = []
    func push(_ children: [Int], _ indent: String, isRoot: Bool) {
      for (place, child) in children.enumerated().reversed() {
        let isLast = place == children.count - 1
        waiting.append(
          isRoot
            ? (child, "", "")
            : (
              child, indent + (isLast ? branches.last : branches.inner),
              indent + (isLast ? branches.space : branches.line)
            ))
      }
    }
    push(nodes[0].children, "", isRoot: true)
    while let (index, branch, indent) = waiting.popLast() {
      let node = nodes[index]
      rows.append([
        branch + printable(node.label, longest: .max), node.tensor.map { "\($0.dtype)" } ?? "",
        node.tensor.map { "\($0.shape)" } ?? "", grouped(node.elementCount),
      ])
      push(node.children, indent, isRoot: false)
    }
    return table(rows, numeric: [3])
  }
}
