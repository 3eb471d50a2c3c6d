// What an error says, to be compared word for word.

/// The text of the error that `body` throws, or that it throws none.
public func errorText<Result>(_ body: () throws -> Result) -> String {
  do {
    _ = try body()
    return "(no error)"
  } catch {
    return "\(error)"
  }
}
