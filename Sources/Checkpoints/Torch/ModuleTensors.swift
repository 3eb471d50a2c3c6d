// The state dict of a whole pickled module, of any class: what `module.state_dict()` would list, from
// the attributes that every nn.Module has. Modules of TorchScript have their tensors as attributes.

/// A pickled module.
struct PickledModule {
  /// Parameters and buffers: names and values in PyTorch's order; those that are None left out.
  let tensors: [(name: String, value: PickleValue)]
  /// Its submodules in order.
  let modules: [(name: String, value: PickleValue)]
  /// Tensors and containers that are no part of the state dict: plain attributes, non-persistent buffers.
  let others: [(name: String, value: PickleValue)]
}

extension TensorBuilder {
  /// The module that `value` is, taken apart once; nil for everything else.
  func module(_ value: PickleValue) -> PickledModule? {
    guard case .node(let reference) = value, case .object(let object) = heap[reference] else { return nil }
    if let known = modules[reference] { return known }
    let module = module(object)
    if let module { modules[reference] = module }
    return module
  }

  private func module(_ object: PickleObject) -> PickledModule? {
    var attributes = pickle.attributes(object)
    // torch.fx gives its function the attributes as an argument.
    if attributes.isEmpty { attributes = object.arguments.first.flatMap(pickle.entries) ?? [] }
    if let parameters = pickle.value("_parameters", in: attributes).flatMap(pickle.entries),
      let modules = pickle.value("_modules", in: attributes).flatMap(pickle.entries)
    {
      return module(attributes, parameters, modules)
    }
    guard let name = pickle.className(object), ScriptClasses.contains(name) else { return nil }
    return scriptModule(attributes, tensorNames: pickle.scriptClasses.tensorAttributes(of: name))
  }

  private typealias Entries = [(key: PickleValue, value: PickleValue)]

  private func module(_ attributes: Entries, _ parameters: Entries, _ modules: Entries) -> PickledModule {
    let heap = heap
    let passing = pickle.value("_non_persistent_buffers_set", in: attributes).flatMap(pickle.elements) ?? []
    let passingNames = Set(passing.compactMap(heap.string))
    let buffers = pickle.value("_buffers", in: attributes).flatMap(pickle.entries) ?? []
    let isPassing = { (entry: Entries.Element) in heap.string(entry.key).map(passingNames.contains) ?? false }
    let registries = ["_parameters", "_buffers", "_modules"]
    return PickledModule(
      tensors: named(parameters + buffers.filter { !isPassing($0) }),
      modules: named(modules),
      others: named(
        buffers.filter(isPassing)
          + attributes.filter { entry in !(heap.string(entry.key).map(registries.contains) ?? false) }))
  }

  private func scriptModule(_ attributes: Entries, tensorNames: Set<String>?) -> PickledModule {
    var tensors: Entries = []
    var modules: Entries = []
    var others: Entries = []
    for entry in attributes {
      if isTensor(entry.value) {
        if tensorNames?.contains(pickle.keyName(entry.key)) ?? true {
          tensors.append(entry)
        } else {
          others.append(entry)
        }
      } else if case .object(let object)? = heap.node(entry.value), let name = pickle.className(object),
        ScriptClasses.contains(name)
      {
        modules.append(entry)
      } else {
        others.append(entry)
      }
    }
    return PickledModule(tensors: named(tensors), modules: named(modules), others: named(others))
  }

  private func named(_ entries: Entries) -> [(name: String, value: PickleValue)] {
    entries.compactMap { $0.value == .none ? nil : (pickle.keyName($0.key), $0.value) }
  }

  /// What `state_dict()` of the module would list, looked up once. A module that is reached under several names is
  /// listed under each, as PyTorch does.
  ///
  /// - Throws: `.malformed` for a module inside itself, `.limitExceeded` for too many or too deep ones.
  func moduleTensors(_ root: PickleValue, limits: Limits) throws(CheckpointError) -> ModuleTensors {
    guard case .node(let reference) = root else { return [] }
    if let known = moduleTensors[reference] { return try known.get() }
    let result = Result { () throws(CheckpointError) in try listModuleTensors(root, limits: limits) }
    moduleTensors[reference] = result
    return try result.get()
  }

  private func listModuleTensors(
    _ root: PickleValue, limits: Limits
  ) throws(CheckpointError) -> ModuleTensors {
    enum Task {
      case enter(PickleValue, prefix: String, depth: Int)
      case leave(PickleReference)
    }
    var found: ModuleTensors = []
    var open: Set<PickleReference> = []
    var pending = [Task.enter(root, prefix: "", depth: 0)]
    var steps = 0
    var nameBytes = 0
    while let task = pending.popLast() {
      guard case .enter(let value, let prefix, let depth) = task else {
        if case .leave(let reference) = task { open.remove(reference) }
        continue
      }
      guard case .node(let reference) = value, let module = module(value) else { continue }
      guard open.insert(reference).inserted else {
        throw CheckpointError(.malformed, "holds a module inside itself. Get the file again.", key: prefix)
      }
      steps += 1 + module.tensors.count + module.modules.count
      guard steps / limits.stateDictExpansion <= heap.nodes.count else {
        throw CheckpointError(
          .limitExceeded,
          "shares modules so often that its state dict would be larger than the file justifies.")
      }
      guard depth < limits.pathNesting else {
        throw CheckpointError(
          .limitExceeded, "has modules nested more than \(limits.pathNesting) levels deep.")
      }
      for child in module.tensors + module.modules {
        nameBytes = nameBytes.saturatingAdding(prefix.utf8.count + child.name.utf8.count)
      }
      guard nameBytes <= limits.nameMemory(forObjects: heap.nodes.count) else {
        throw TensorBuilder.longNames
      }
      found += module.tensors.map { (prefix + $0.name, $0.value) }
      pending.append(.leave(reference))
      pending += module.modules.reversed().map {
        .enter($0.value, prefix: prefix + $0.name + ".", depth: depth + 1)
      }
    }
    return found
  }

  static let longNames = CheckpointError(
    .limitExceeded,
    "gives its tensors names that are longer together than the file justifies. Get the file again, or raise Limits.nameBytes."
  )
}
