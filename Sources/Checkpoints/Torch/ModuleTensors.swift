// The state dict of a whole pickled module, of any class: what `module.state_dict()` would list, from
// the attributes that every nn.Module has. Modules of TorchScript have their tensors as attributes;
// QuantizedModules.swift has those that keep theirs in a way of their own.

/// A pickled module, taken apart.
struct PickledModule {
  /// A value and what it is called in the module.
  struct Member {
    let name: String
    let value: PickleValue
    /// Whether it is a number that a state dict has as a tensor.
    var isNumber = false
  }

  /// Parameters and buffers in PyTorch's order; those that are None left out.
  var tensors: [Member] = []
  /// Its submodules in order.
  var modules: [Member] = []
  /// Tensors and containers that are no part of the state dict: plain attributes, non-persistent buffers.
  var others: [Member] = []
  /// What a state dict would have in a form that only the class makes, such as packed parameters.
  var packed: [Member] = []
}

/// How a module keeps its tensors; nothing is copied from the pickle.
enum ModuleKind {
  case plain(attributes: PickleEntries, parameters: PickleEntries, modules: PickleEntries)
  /// A class of TorchScript.
  case script(attributes: PickleEntries)
  /// What torch.compile makes of the module that it holds.
  case compiled(PickleValue)
  case quantizedConvolution([PickleValue])
}

extension TensorBuilder {
  /// The kind of module that `value` is; nil for everything else.
  func moduleKind(_ value: PickleValue) throws(CheckpointError) -> ModuleKind? {
    guard case .node(let reference) = value, case .object(let object) = heap[reference] else { return nil }
    if let known = modules[reference] { return known }
    let kind = try moduleKind(object)
    if let kind { modules[reference] = kind }
    return kind
  }

  private func moduleKind(_ object: PickleObject) throws(CheckpointError) -> ModuleKind? {
    // Most objects are made without anything.
    let isBare = object.state == nil && object.arguments.isEmpty
    var attributes = isBare ? PickleEntries(heap) : pickle.attributes(object)
    // torch.fx gives its function the attributes as an argument.
    if attributes.isEmpty, let first = object.arguments.first.flatMap(pickle.entries) { attributes = first }
    if !attributes.isEmpty {
      try charge(attributes.count)
      if let parameters = pickle.value("_parameters", in: attributes).flatMap(pickle.entries),
        let modules = pickle.value("_modules", in: attributes).flatMap(pickle.entries)
      {
        return .plain(attributes: attributes, parameters: parameters, modules: modules)
      }
    }
    if pickle.known(object.callable) == .compiledModule {
      return object.arguments.first.map { .compiled($0) }
    }
    guard let name = pickle.className(object) else { return nil }
    if let state = quantizedConvolution(object, name) { return .quantizedConvolution(state) }
    return ScriptClasses.contains(name) ? .script(attributes: pickle.attributes(object)) : nil
  }

  /// The module that `value` is, taken apart; nil for everything else.
  func module(_ value: PickleValue) throws(CheckpointError) -> PickledModule? {
    guard let kind = try moduleKind(value), case .object(let object)? = heap.node(value) else { return nil }
    switch kind {
    case .plain(let attributes, let parameters, let modules):
      var module = try plainModule(attributes, parameters, modules)
      try addQuantizedMembers(of: attributes, className: pickle.className(object), to: &module)
      return module
    case .script(let attributes): return try scriptModule(object, attributes)
    case .compiled(let inner):
      return PickledModule(modules: [PickledModule.Member(name: "_orig_mod", value: inner)])
    case .quantizedConvolution(let state): return PickledModule(quantizedConvolution: state)
    }
  }

  private func plainModule(
    _ attributes: PickleEntries, _ parameters: PickleEntries, _ modules: PickleEntries
  ) throws(CheckpointError) -> PickledModule {
    let passing = pickle.value("_non_persistent_buffers_set", in: attributes).flatMap(pickle.elements)
    let buffers = pickle.value("_buffers", in: attributes).flatMap(pickle.entries) ?? PickleEntries(heap)
    try charge(passing?.count ?? 0)
    let passingNames = Set((passing ?? PickleElements([])).compactMap(heap.string))
    var module = PickledModule(tensors: try members(parameters), modules: try members(modules))
    for buffer in try members(buffers) {
      if passingNames.contains(buffer.name) {
        module.others.append(buffer)
      } else {
        module.tensors.append(buffer)
      }
    }
    let registries = ["_parameters", "_buffers", "_modules"]
    module.others += try members(attributes).filter { !registries.contains($0.name) }
    return module
  }

  private func scriptModule(
    _ object: PickleObject, _ attributes: PickleEntries
  ) throws(CheckpointError) -> PickledModule {
    let tensorNames = try scriptTensorNames(object)
    var module = PickledModule()
    for member in try members(attributes) {
      if isTensor(member.value) {
        if tensorNames?.contains(member.name) ?? true {
          module.tensors.append(member)
        } else {
          module.others.append(member)
        }
      } else if case .object(let inner)? = heap.node(member.value),
        pickle.className(inner).map(ScriptClasses.contains) ?? false
      {
        module.modules.append(member)
      } else {
        module.others.append(member)
      }
    }
    if let state = pickle.opaqueState(object) {
      module.packed.append(PickledModule.Member(name: "state", value: state))
    }
    return module
  }

  /// The names that a class of TorchScript declares; nil when the archive does not say.
  private func scriptTensorNames(_ object: PickleObject) throws(CheckpointError) -> Set<String>? {
    guard case .global(let index)? = heap.node(pickle.classValue(object)) else { return nil }
    if let known = scriptClasses[index] { return known }
    var names: Set<String>?
    if let (record, className) = pickle.scriptClasses.place(of: heap.globals[index].fullName) {
      if scriptRecords[record.name] == nil {
        // Reading code takes less than walking values.
        try charge(record.entry.uncompressedSize / 16)
        let code = try? record.pickleBytes()
        scriptRecords[record.name] = code.map(ScriptClasses.tensorAttributes) ?? [:]
      }
      names = scriptRecords[record.name]?[className]
    }
    scriptClasses[index] = .some(names)
    return names
  }

  private func members(_ entries: PickleEntries) throws(CheckpointError) -> [PickledModule.Member] {
    // Names are made, which takes longer than a look.
    try charge(8 * entries.count)
    var members: [PickledModule.Member] = []
    for (key, value) in entries where value != .none {
      members.append(PickledModule.Member(name: try name(ofKey: key), value: value))
    }
    return members
  }

  // MARK: State dict

  /// Whether a module has parameters or buffers, itself or further in.
  func holdsTensors(module root: PickleValue) throws(CheckpointError) -> Bool {
    guard case .node(let reference) = root else { return false }
    if let known = modulesWithTensors[reference] { return known }
    var visited: Set<PickleReference> = []
    var pending = [root]
    while let value = pending.popLast() {
      guard case .node(let inner) = value, modulesWithTensors[inner] != false, visited.insert(inner).inserted,
        let module = try module(value)
      else { continue }
      if !module.tensors.isEmpty {
        modulesWithTensors[reference] = true
        return true
      }
      pending += module.modules.map(\.value)
    }
    for inner in visited { modulesWithTensors[inner] = false }
    return false
  }

  /// What `state_dict()` of a module would list.
  struct ModuleListing {
    /// Parameters and buffers by their full names.
    var tensors: [PickledModule.Member] = []
    /// What may hold tensors that only its class could list.
    var packed: [PickledModule.Member] = []
  }

  /// What `state_dict()` of the module would list. A module that is reached under several names is
  /// listed under each, as PyTorch does.
  ///
  /// - Throws: `.malformed` for a module inside itself, `.limitExceeded` for too many or too deep ones.
  func listModule(_ root: PickleValue) throws(CheckpointError) -> ModuleListing {
    enum Task {
      case enter(PickleValue, prefix: String, depth: Int)
      case leave(PickleReference)
    }
    var found = ModuleListing()
    var open: Set<PickleReference> = []
    var pending = [Task.enter(root, prefix: "", depth: 0)]
    var steps = 0
    var nameBytes = 0
    while let task = pending.popLast() {
      guard case .enter(let value, let prefix, let depth) = task else {
        if case .leave(let reference) = task { open.remove(reference) }
        continue
      }
      guard case .node(let reference) = value else { continue }
      guard let module = try module(value) else {
        found.packed.append(PickledModule.Member(name: String(prefix.dropLast()), value: value))
        continue
      }
      guard open.insert(reference).inserted else {
        throw CheckpointError(.malformed, "holds a module inside itself. Get the file again.", key: prefix)
      }
      steps += 1 + module.tensors.count + module.modules.count
      guard steps / max(1, limits.stateDictExpansion) <= heap.nodes.count else {
        throw CheckpointError(
          .limitExceeded,
          "shares modules so often that its state dict would be larger than the file justifies. "
            + "Get the file again, or raise Limits.stateDictExpansion.")
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
      found.tensors += module.tensors.map { $0.prefixed(by: prefix) }
      found.packed += module.packed.map { $0.prefixed(by: prefix) }
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

extension PickledModule.Member {
  fileprivate func prefixed(by prefix: String) -> PickledModule.Member {
    PickledModule.Member(name: prefix + name, value: value, isNumber: isNumber)
  }
}
