// Writes the files of an ONNX model.

public import Checkpoints

extension ONNXModel {
  /// Writes the model to `path`; weights that it has no room for go to a file beside it, `path` with `.data` behind it.
  ///
  /// The files appear under their names when all is written and was read again; a failure leaves nothing behind.
  ///
  /// - Parameters:
  ///   - options: what is converted, all of whose checksums are verified, and whether existing files may be replaced.
  ///   - progress: called now and then, from any thread, with the bytes done and to do.
  /// - Returns: the paths of the files; the last is the model.
  /// - Throws: `.cannotWrite`, `.limitExceeded` for more than the source justifies, or what is wrong with a tensor.
  @discardableResult
  public func write(
    to path: String, options: WriteOptions = WriteOptions(),
    progress: @escaping @Sendable (_ done: Int, _ total: Int) -> Void = { _, _ in }
  ) throws(CheckpointError) -> [String] {
    try files(path).write(options, progress)
  }
}
