// Fits a state dict to the parameters that a model declares.

import Checkpoints

/// Findings that loading may pass over.
public struct LoadFindings: OptionSet, Sendable {
  public let rawValue: Int

  /// The set with these bits.
  public init(rawValue: Int) { self.rawValue = rawValue }

  /// Tensors of another shape than the model's; the model keeps its own values there.
  public static let shapeMismatch = LoadFindings(rawValue: 1)
  /// Whatever concerns the layer that gives the output, such as `fc`: where it is missing or has another shape,
  /// the model keeps its own values, as for training it anew.
  public static let head = LoadFindings(rawValue: 2)
}

extension StateDict {
  /// This state dict with the values of `source` wherever their keys and shapes fit `parameters`.
  ///
  /// - Parameters:
  ///   - mapping: which names of `source` are parameters.
  ///   - head: the path of the layer that gives the output.
  /// - Throws: ``LoadError`` for mismatched shapes unless `ignoring` names them and, when `strict`,
  ///   for missing and unexpected keys.
  package func loading(
    _ source: StateDict, _ mapping: KeyMapping, for parameters: [Parameter], head: String?, strict: Bool,
    ignoring: LoadFindings
  ) throws(LoadError) -> (stateDict: StateDict, report: LoadReport) {
    var result = self
    var report = LoadReport(mapping)
    var entries: [CodeUnitKey: KeyMapping.Entry] = [:]
    entries.reserveCapacity(mapping.entries.count)
    var unexpected = mapping.unknown
    for entry in mapping.entries where entries.updateValue(entry, forKey: CodeUnitKey(entry.to)) != nil {
      unexpected.append(entry.from)  // a second tensor for one parameter
    }
    func isIgnored(_ name: String) -> Bool {
      guard ignoring.contains(.head), let head else { return false }
      return name.hasPrefix(head + ".")
    }

    for parameter in parameters {
      guard let entry = entries.removeValue(forKey: CodeUnitKey(parameter.name)),
        let tensor = source.tensor(entry)
      else {
        if !parameter.isOptional, !isIgnored(parameter.name) {
          report.missing.append(.init(key: parameter.name, nearest: nil))
        }
        continue
      }
      guard parameter.accepts(tensor) else {
        if !isIgnored(parameter.name) {
          report.mismatched.append(
            .init(
              key: parameter.name, expectedShape: parameter.shape, expectedDType: parameter.dtype,
              foundShape: tensor.shape, foundDType: tensor.dtype))
        }
        continue
      }
      if tensor.dtype != parameter.dtype {
        report.converted.append(.init(key: parameter.name, from: tensor.dtype, to: parameter.dtype))
      }
      result.update(parameter.name, tensor)
      report.loaded.append(parameter.name)
    }
    let rest = Set(
      entries.values.filter { !isIgnored($0.to) }.map { CodeUnitKey($0.from) }
        + unexpected.map(CodeUnitKey.init))
    report.unexpected = source.names.filter { rest.contains(CodeUnitKey($0)) }
    // Where so much differs, similar names are no misspellings, and comparing all pairs takes long.
    if report.missing.count * report.unexpected.count <= 20_000 {
      let sizes = Dictionary(parameters.map { ($0.name, $0.shape.sorted()) }) { first, _ in first }
      report.missing = report.missing.map { missing in
        // Only what could be this tensor, in some order of axes.
        let candidates = report.unexpected.filter { source[$0]?.shape.sorted() == sizes[missing.key] }
        return .init(key: missing.key, nearest: nearestNames(to: missing.key, among: candidates).first)
      }
    }

    report.repeated = parameters.repeatedNames
    let shapesFit = report.mismatched.isEmpty || ignoring.contains(.shapeMismatch)
    let keysFit = report.missing.isEmpty && report.unexpected.isEmpty
    guard report.repeated.isEmpty, shapesFit, keysFit || !strict else { throw LoadError(report: report) }
    return (result, report)
  }

  /// The tensor of an entry, with PyTorch's axes where they can be had: where not, its shape will tell.
  private func tensor(_ entry: KeyMapping.Entry) -> Tensor? {
    guard let tensor = self[entry.from], let axes = entry.axes else { return self[entry.from] }
    return (try? tensor.toPyTorch(from: axes)) ?? tensor
  }
}

extension Parameter {
  /// Whether `tensor` has this parameter's shape and a type that becomes its type without guessing. A counter may have
  /// become a fraction with all else, as in `{k: v.half() for k, v in state_dict.items()}`.
  fileprivate func accepts(_ tensor: Tensor) -> Bool {
    guard tensor.shape == shape else { return false }
    return tensor.dtype == dtype
      || (dtype == .float32 ? tensor.dtype.isFloatingPoint : tensor.dtype.isInteger)
      || isOptional && tensor.dtype.isFloatingPoint
  }
}
