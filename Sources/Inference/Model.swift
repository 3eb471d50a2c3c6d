// A model: a module tree with the weights that satisfied its declarations, ready to run.

public import Checkpoints
public import NN

/// A network with weights.
///
/// ```swift
/// var model = Model { MyNetwork($0) }
/// try model.load(checkpoint.stateDict())
/// let logits = try model(images)          // [N, C, H, W] → [N, classes]
/// ```
///
/// A model is a value: a copy that loads other weights leaves the original as it was.
public struct Model<Root: Module>: Sendable {
  /// The module tree.
  public let root: Root
  /// What the modules declared, in PyTorch's order.
  public let parameters: [Parameter]
  /// The network as a list of operations.
  public let graph: Graph
  /// The weights: a tensor for each of `parameters`.
  public private(set) var stateDict: StateDict
  /// How many threads a pass uses, the caller's included: at least that one, at most four for each CPU, as more than one
  /// only wait for each other. Results are the same from run to run at the same count.
  public var threadCount = ThreadPool.availableCPUs {
    didSet {
      threadCount = min(max(1, threadCount), 4 * ThreadPool.availableCPUs)
      if threadCount != oldValue { plans = PlanCache(plans.weights) }
    }
  }
  /// How exact the arithmetic is.
  public var accuracy = Accuracy.standard
  /// The algorithm of every convolution that it applies to; nil for the cheapest.
  package var algorithm: ConvolutionAlgorithm?
  /// What multiplies matrices.
  package var engine = MatrixEngine.preferred
  private var plans: PlanCache
  /// What two modules declare, which no pass can be right with.
  private let repeatedNames: [String]

  /// A model with initial weights, which depend on `seed` alone.
  public init(seed: UInt64 = 0, _ build: (Scope) -> Root) {
    let scope = Scope()
    let root = build(scope)
    self.root = root
    parameters = scope.parameters
    repeatedNames = scope.parameters.repeatedNames
    graph = Graph(recording: { root($0) })
    var initial = StateDict()
    for parameter in scope.parameters {
      // A declared shape is small and positive, so its tensor can always be described.
      if let tensor = try? parameter.initialTensor(seed: seed) { initial.update(parameter.name, tensor) }
    }
    stateDict = initial
    plans = PlanCache(WeightStore(initial))
  }

  /// Takes the weights of a state dict, as PyTorch's `load_state_dict`: all of it is checked first.
  ///
  /// A prefix that wrappers put before every key, such as `module.`, is removed when that makes the
  /// keys fit; a ResNet knows other dialects too. `num_batches_tracked` may be absent. Floating-point types
  /// convert to float32.
  ///
  /// - Parameters:
  ///   - strict: whether missing and unexpected keys are an error.
  ///   - ignoring: findings that are no error either way.
  /// - Returns: what was found.
  /// - Throws: `LoadError` with everything that does not fit; the model keeps its weights.
  @discardableResult
  public mutating func load(
    _ source: StateDict, strict: Bool = true, ignoring: LoadFindings = []
  ) throws(LoadError) -> LoadReport {
    try load(
      source, root.mapping(of: source, parameters: parameters.map(\.name)), strict: strict, ignoring: ignoring
    )
  }

  /// Takes the weights of a state dict of which is known which tensor is which parameter.
  @discardableResult
  package mutating func load(
    _ source: StateDict, _ mapping: KeyMapping, strict: Bool = true, ignoring: LoadFindings = []
  ) throws(LoadError) -> LoadReport {
    let (loaded, report) = try stateDict.loading(
      source, mapping, for: parameters, head: head, strict: strict, ignoring: ignoring)
    stateDict = loaded
    plans = PlanCache(WeightStore(loaded))
    return report
  }

  /// The path of the layer that gives the output, where it is a fully connected one.
  private var head: String? {
    if case .linear(let layer) = graph.nodes[graph.output].operation {
      return String(layer.weight.dropLast(".weight".count))
    }
    return nil
  }

  /// Runs the model.
  ///
  /// - Parameter input: float32 of shape `[N, C, H, W]`.
  /// - Throws: `InputError` when the input does not fit or there is no memory for the pass, `CheckpointError` when weights
  ///   can't be read.
  public func callAsFunction(_ input: Tensor) throws -> Tensor {
    try run(input, outputs: [graph.output])[0]
  }

  /// Runs the model and returns the outputs of modules on the way.
  ///
  /// - Parameters:
  ///   - input: float32 of shape `[N, C, H, W]`.
  ///   - paths: the modules' paths, such as `layer3.0` or `avgpool`.
  /// - Returns: one tensor for each path, in the same order and in PyTorch's layout.
  /// - Throws: `InputError` when the input does not fit, there is no such module or no memory, `CheckpointError`
  ///   when weights can't be read.
  public func outputs(_ input: Tensor, at paths: [String]) throws -> [Tensor] {
    var nodes: [Int] = []
    for path in paths {
      guard let node = graph.names[path] else {
        throw InputError("the model has no module \"\(path)\" with an output of its own.")
      }
      nodes.append(node)
    }
    return try run(input, outputs: nodes)
  }

  /// Compiles the plan for inputs of `shape` now, so that the first pass is as fast as the others.
  ///
  /// - Throws: `InputError` when such an input does not fit, `CheckpointError` when weights can't be read.
  public func prepare(for shape: [Int]) throws {
    _ = try plan(for: shape, outputs: [graph.output])
  }

  private func plan(for shape: [Int], outputs: [Int]) throws -> Plan {
    if let name = repeatedNames.first {
      throw InputError("\(quoted(name)) is declared by two modules: make each in a scope of its own.")
    }
    return try plans.plan(graph, options(shape, outputs: outputs))
  }

  private func options(_ shape: [Int], outputs: [Int]) -> PlanOptions {
    PlanOptions(
      shape: shape, outputs: outputs, threads: threadCount, accuracy: accuracy,
      algorithm: algorithm,
      engine: engine, hasBFloat16: plans.weights.hasBFloat16)
  }

  /// What passes on inputs of `shape` need beside the model's tensors.
  ///
  /// - Throws: `InputError` when such an input does not fit.
  public func memory(for shape: [Int]) throws(InputError) -> PlanMemory {
    try PlanOutline(graph, options(shape, outputs: [graph.output])).memory(stateDict)
  }

  /// How long each step of a pass takes.
  ///
  /// - Parameters:
  ///   - input: float32 of shape `[N, C, H, W]`.
  ///   - repetitions: how many passes are timed.
  package func profile(_ input: Tensor, repetitions: Int) throws -> [StepTiming] {
    let plan = try plan(for: input.shape, outputs: [graph.output])
    let values = try input.floats()
    var timings = StepTiming.all(of: plan.outline, graph)
    var places: [Int: Int] = [:]
    for (index, step) in plan.outline.segments.flatMap(\.steps).enumerated() { places[step.output] = index }
    for pass in 0..<repetitions {
      for index in timings.indices { timings[index].milliseconds.append(0) }
      _ = try values.withUnsafeBufferPointer {
        try plan.run($0, outputs: [graph.output]) { step, duration in
          guard let place = places[step.output] else { return }
          timings[place].milliseconds[pass] += duration / .milliseconds(1)
        }
      }
    }
    return timings
  }

  private func run(_ input: Tensor, outputs: [Int]) throws -> [Tensor] {
    guard input.dtype == .float32 else {
      throw InputError("the input is \(input.dtype); the model takes float32.")
    }
    guard input.shape.count == 4 else {
      throw InputError("the input has shape \(input.shape); the model takes [N, C, H, W].")
    }
    let plan = try plan(for: input.shape, outputs: outputs)
    return try input.withFloats { input in Result { try plan.run(input, outputs: outputs) } }.get()
  }
}

extension Model {
  /// Learned parameters as PyTorch counts them: without BatchNorm's statistics and counters.
  public var parameterCount: Int {
    parameters.filter { !$0.isBuffer }.reduce(0) { $0 + $1.shape.reduce(1, *) }
  }

  /// Multiplications and additions that a pass on inputs of `shape` takes, as the definitions have them.
  ///
  /// - Throws: `InputError` when such an input does not fit.
  public func operationCount(for shape: [Int]) throws(InputError) -> Int {
    let outline = try PlanOutline(graph, options(shape, outputs: [graph.output]))
    return outline.operationCount
  }

  /// The kind of CPU that OpenBLAS chose its kernels for, such as `Zen`; `none` where it is not installed.
  public static var coreType: String { MatrixEngine.coreType }
}

/// The plans of one set of weights, by input shape.
private final class PlanCache: Sendable {
  private struct Plans {
    var byOptions: [PlanOptions: Plan] = [:]
    /// Least recently used first.
    var order: [PlanOptions] = []
  }

  /// A program that feeds images of many sizes must not collect a plan for each.
  private static let mostPlans = 16
  private let plans = Locked(Plans())
  let weights: WeightStore

  init(_ weights: WeightStore) { self.weights = weights }

  func plan(_ graph: Graph, _ options: PlanOptions) throws -> Plan {
    try plans.withLock { plans in
      if let plan = plans.byOptions[options] {
        plans.order.removeAll { $0 == options }
        plans.order.append(options)
        return plan
      }
      let plan = try Plan(graph, options, weights: weights)
      plans.byOptions[options] = plan
      plans.order.append(options)
      if plans.order.count > PlanCache.mostPlans { plans.byOptions[plans.order.removeFirst()] = nil }
      return plan
    }
  }
}
