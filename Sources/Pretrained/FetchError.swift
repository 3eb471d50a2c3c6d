// The one error of getting a published file: what kind it is, and a sentence for people.

import Checkpoints

/// Why a published file could not be had.
///
/// `description` is one sentence for people: the fact, then the way out.
public struct FetchError: Error, Sendable, CustomStringConvertible {
  /// The broad kind of a ``FetchError``; more may be added.
  public struct Code: Hashable, Sendable, CustomStringConvertible {
    /// The code's name, such as `network`.
    public let description: String

    /// There are no published weights of this name.
    public static let noSuchWeights = Code(description: "noSuchWeights")
    /// The file is not in the cache, and nothing may be downloaded.
    public static let notCached = Code(description: "notCached")
    /// The server can't be reached, or the connection broke again and again.
    public static let network = Code(description: "network")
    /// The server does not have the file or does not give it.
    public static let refused = Code(description: "refused")
    /// What came, or lies in the cache, is not the file that was published.
    public static let wrongContent = Code(description: "wrongContent")
    /// There is no cache folder, or it can't be written.
    public static let cannotWrite = Code(description: "cannotWrite")
    /// The task was cancelled.
    public static let cancelled = Code(description: "cancelled")
    /// libcurl is not installed.
    public static let noLibrary = Code(description: "noLibrary")
  }

  /// The broad kind.
  public let code: Code
  public let description: String

  init(_ code: Code, _ description: String) {
    (self.code, self.description) = (code, description)
  }
}
