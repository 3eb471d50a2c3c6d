// Writes the files of an ONNX model.

public import Checkpoints

extension ONNXModel {
  /// Writes the model to `path`; weights that it has no room for go to a file beside it, `path` with `.data` behind it.
  ///
  /// The files appear under their names when all is written; a failure leaves nothing behind.
  ///
  /// - Parameters:
  ///   - options: what is converted, all of whose checksums are verified, and whether existing files may be replaced.
  ///   - progress: called now and then with the bytes done and to do.
  /// - Throws: `.cannotWrite`, `.limitExceeded` for more than the source justifies, or what is wrong with a tensor.
  public func write(
    to path: String, options: WriteOptions = WriteOptions(),
    progress: (_ done: Int, _ total: Int) -> Void = { _, _ in }
  ) throws(CheckpointError) {
    let files = try files(path)
    let total = files.flatMap(\.layout.pieces).reduce(0) { $0.saturatingAdding($1.byteCount) }
    if let most = options.source?.mostWritten, total > most {
      throw CheckpointError(
        .limitExceeded,
        "would take \(total) bytes, more than a file of this size justifies (\(most)). "
          + "Raise Limits.writtenBytes if you want it.")
    }
    try options.source?.verifyChecksums()
    var done = 0
    var outputs: [OutputFile] = []
    do throws(CheckpointError) {
      for (path, layout) in files {
        let output = try OutputFile(path, replacing: options.replacing)
        outputs.append(output)
        for piece in layout.pieces {
          do throws(CheckpointError) {
            try output.write(piece.bytes(), at: piece.offset)
          } catch {
            throw error.forTensor(piece.name)
          }
          done += piece.byteCount
          progress(done, total)
        }
        for (offset, bytes) in layout.framing([]) { try output.write(bytes, at: offset) }
      }
      while let output = outputs.first {
        try output.commit()
        outputs.removeFirst()
      }
    } catch {
      for output in outputs { output.discard() }
      throw error
    }
  }
}
