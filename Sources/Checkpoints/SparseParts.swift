// The parts of sparse tensors, and where each of their values goes: coordinates, or rows or columns that are compressed.

/// Parts that fit together as far as their shapes tell.
protocol SparseParts {
  /// Calls `body` with the values and, in bytes, where a run of them begins, where it goes in the dense tensor, and
  /// how long it is. No value's place lies outside the tensor.
  ///
  /// - Throws: `.malformed` for indices out of range or out of order, and what `body` throws.
  func forEachPiece(
    _ limits: Limits,
    _ body: (_ source: Bytes, _ from: Int, _ to: Int, _ count: Int) throws(CheckpointError) -> Void
  ) throws(CheckpointError)
}

/// One index for each dimension and value.
struct CoordinateParts: SparseParts {
  private let tensor: Tensor
  private let indices: Tensor
  private let values: Tensor

  init(_ tensor: Tensor) throws(CheckpointError) {
    self.tensor = tensor
    (indices, values) = (try tensor.component("indices"), try tensor.component("values"))
    let shape = tensor.shape
    guard indices.shape.count == 2, let count = values.shape.first, indices.shape[1] == count,
      indices.shape[0] <= shape.count, values.shape.dropFirst().elementsEqual(shape[indices.shape[0]...])
    else { throw tensor.mismatchedParts }
  }

  func forEachPiece(
    _ limits: Limits,
    _ body: (_ source: Bytes, _ from: Int, _ to: Int, _ count: Int) throws(CheckpointError) -> Void
  ) throws(CheckpointError) {
    let (sparseShape, count) = (Array(tensor.shape[..<indices.shape[0]]), indices.shape[1])
    let coordinates = try indices.ints()
    let source = try values.contiguousBytes(limits: limits)
    let pieceSize =
      (Tensor.product(Array(tensor.shape[sparseShape.count...])) ?? 0) &* tensor.dtype.size
    guard pieceSize > 0 else { return }
    for number in 0..<count {
      var place = 0
      for dimension in sparseShape.indices {
        let coordinate = coordinates[dimension * count + number]
        guard coordinate >= 0, coordinate < sparseShape[dimension] else {
          throw Tensor.coordinateOutOfRange(coordinate, sparseShape[dimension])
        }
        // Wrapping: only a tensor without elements can have sizes whose product overflows.
        place = place &* sparseShape[dimension] &+ coordinate
      }
      try body(source, number &* pieceSize, place &* pieceSize, pieceSize)
    }
  }
}

/// Compressed rows (`crow_indices`) or columns (`ccol_indices`), of values or of blocks.
struct CompressedParts: SparseParts {
  private let tensor: Tensor
  private let compressed: Tensor
  private let plain: Tensor
  private let values: Tensor
  private let hasRows: Bool
  private let block: [Int]

  private var compressedName: String { hasRows ? "crow_indices" : "ccol_indices" }

  init(_ tensor: Tensor) throws(CheckpointError) {
    self.tensor = tensor
    hasRows = tensor.layout == .sparseCSR || tensor.layout == .sparseBSR
    compressed = try tensor.component(hasRows ? "crow_indices" : "ccol_indices")
    plain = try tensor.component(hasRows ? "col_indices" : "row_indices")
    values = try tensor.component("values")
    let shape = tensor.shape
    let batchRank = compressed.shape.count - 1
    let blockRank = tensor.layout == .sparseBSR || tensor.layout == .sparseBSC ? 2 : 0
    guard batchRank >= 0, shape.count >= batchRank + 2, plain.shape.count == batchRank + 1,
      values.shape.count == shape.count - 1 + blockRank
    else { throw tensor.mismatchedParts }
    let (batch, count) = (Array(shape[..<batchRank]), plain.shape[batchRank])
    block = blockRank == 0 ? [1, 1] : Array(values.shape[batchRank + 1..<batchRank + 3])
    let denseShape = Array(shape[(batchRank + 2)...])
    let (rows, columns) = (shape[batchRank], shape[batchRank + 1])
    guard block[0] > 0, block[1] > 0, rows.isMultiple(of: block[0]), columns.isMultiple(of: block[1]),
      compressed.shape.dropLast().elementsEqual(batch),
      compressed.shape[batchRank] - 1 == (hasRows ? rows / block[0] : columns / block[1]),
      plain.shape == batch + [count],
      values.shape == batch + [count] + (blockRank == 0 ? [] : block) + denseShape
    else { throw tensor.mismatchedParts }
  }

  func forEachPiece(
    _ limits: Limits,
    _ body: (_ source: Bytes, _ from: Int, _ to: Int, _ count: Int) throws(CheckpointError) -> Void
  ) throws(CheckpointError) {
    let batchRank = compressed.shape.count - 1
    let (rows, columns) = (tensor.shape[batchRank], tensor.shape[batchRank + 1])
    let count = plain.shape[batchRank]
    let (starts, others) = (try compressed.ints(), try plain.ints())
    let source = try values.contiguousBytes(limits: limits)
    let pieceSize = (Tensor.product(Array(tensor.shape[(batchRank + 2)...])) ?? 0) &* tensor.dtype.size
    guard pieceSize > 0 else { return }
    let lines = compressed.shape[batchRank] - 1
    let otherLines = hasRows ? columns / block[1] : rows / block[0]
    for batchIndex in 0..<(Tensor.product(Array(tensor.shape[..<batchRank])) ?? 0) {
      for line in 0..<lines {
        let (start, end) = (
          starts[batchIndex * (lines + 1) + line], starts[batchIndex * (lines + 1) + line + 1]
        )
        guard line > 0 || start == 0, line < lines - 1 || end == count, 0 <= start, start <= end, end <= count
        else {
          throw CheckpointError(.malformed, "has \(compressedName) that do not increase. Get the file again.")
        }
        for number in start..<end {
          let other = others[batchIndex * count + number]
          guard other >= 0, other < otherLines else { throw Tensor.coordinateOutOfRange(other, otherLines) }
          let (row, column) = hasRows ? (line, other) : (other, line)
          for blockRow in 0..<block[0] {
            for blockColumn in 0..<block[1] {
              let from = ((batchIndex * count + number) * block[0] + blockRow) * block[1] + blockColumn
              let to =
                (batchIndex &* rows &+ row * block[0] + blockRow) &* columns &+ column * block[1]
                + blockColumn
              try body(source, from * pieceSize, to &* pieceSize, pieceSize)
            }
          }
        }
      }
    }
  }
}

extension Tensor {
  /// Whether the parts of a sparse or nested tensor fit together, found out without making it dense.
  ///
  /// - Throws: what ``dense(limits:)`` or ``nestedParts()`` would, but for the size of the result.
  func checkParts(limits: Limits) throws(CheckpointError) {
    switch layout {
    case .strided, .meta: return
    case .nested, .jagged: _ = try nestedParts()
    case .sparseCOO: try CoordinateParts(self).forEachPiece(limits) { _, _, _, _ in }
    case .sparseCSR, .sparseBSR, .sparseCSC, .sparseBSC:
      try CompressedParts(self).forEachPiece(limits) { _, _, _, _ in }
    }
  }

  /// The error of parts whose shapes don't belong together.
  var mismatchedParts: CheckpointError {
    let parts = components.map { "\($0.name) \($0.tensor.shape)" }.joined(separator: ", ")
    return CheckpointError(
      .malformed, "is \(layout) \(shape), but its parts are \(parts). Get the file again.")
  }

  fileprivate static func coordinateOutOfRange(_ coordinate: Int, _ size: Int) -> CheckpointError {
    CheckpointError(
      .malformed, "has a value at index \(coordinate) of a dimension of \(size). Get the file again.")
  }
}
