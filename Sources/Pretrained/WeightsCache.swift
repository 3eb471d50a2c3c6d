// The files that were downloaded: PyTorch's own cache, with its file names, so that neither downloads what the other
// has.

import Checkpoints

/// Where published files are kept, and where they come from.
///
/// ```swift
/// let file = try WeightsCache().file(of: .named("resnet50:v2"))
/// ```
public struct WeightsCache: Sendable {
  /// The folder; nil for PyTorch's: `$TORCH_HOME/hub/checkpoints`, else `$XDG_CACHE_HOME/torch/hub/checkpoints`,
  /// else `~/.cache/torch/hub/checkpoints`.
  public var folder: String?
  /// A URL, of http or https, of a folder that has the files under their published names, to download from there;
  /// nil for the publishers' servers. From the start it is the variable `RSW_PRETRAINED_URL` of the environment.
  public var mirror: String?
  /// Whether only files are given that are there already.
  public var isOffline: Bool

  /// How often and how long servers are tried.
  package var patience = Patience()

  /// Who connects how long, and how often.
  package struct Patience: Sendable {
    package var connectSeconds = 15
    package var stallSeconds = 30
    /// Attempts that bring nothing, one after the other.
    package var mostFailures = 5
    /// All attempts: each may bring a little.
    package var mostAttempts = 100
    /// The pause after the first failure; it doubles after each further one.
    package var firstPause = 0.5
    /// The longest that a server may ask to be left alone for.
    package var longestPause = 60.0
  }

  /// - Parameters:
  ///   - folder: where the files are; nil for PyTorch's cache.
  ///   - mirror: a URL that stands in place of the publishers'; nil for what `RSW_PRETRAINED_URL` says.
  ///   - isOffline: whether nothing is downloaded.
  public init(folder: String? = nil, mirror: String? = nil, isOffline: Bool = false) {
    self.folder = folder
    self.mirror = mirror ?? environment("RSW_PRETRAINED_URL")
    self.isOffline = isOffline
  }

  /// Where the file is, or will be.
  ///
  /// - Throws: ``FetchError`` when the user has no home folder.
  public func path(of weights: PublishedWeights) throws(FetchError) -> String {
    var path = folder ?? ""
    if folder == nil { path = try CacheFolder.standard() }
    return (path.hasSuffix("/") ? path : path + "/") + weights.fileName
  }

  /// Whether the file is there.
  public func contains(_ weights: PublishedWeights) -> Bool {
    guard let path = try? path(of: weights) else { return false }
    return OutputFile.exists(path)
  }

  /// The path of the file, which is downloaded where it isn't there.
  ///
  /// A downloaded file has the digest that stands in its name, or there is none. One that was there is taken as it
  /// is, as PyTorch does; ``check(_:)`` reads all of it. What is left of an interrupted download is used, and of
  /// two downloads of one file at the same time the second waits for the first.
  ///
  /// - Parameters:
  ///   - replacing: whether it is downloaded anyhow, to replace the one that is there when it is complete.
  ///   - progress: called as the download goes on.
  /// - Throws: ``FetchError``. Nothing is left under the file's name then.
  public func file(
    of weights: PublishedWeights, replacing: Bool = false, progress: DownloadProgress.Handler? = nil
  ) throws(FetchError) -> String {
    let path = try path(of: weights)
    if !replacing, OutputFile.exists(path) { return path }
    guard !isOffline else {
      throw FetchError(
        .notCached,
        "\(weights.fileName) is not in \(printable(path.parent)), and nothing may be downloaded offline. Run 'rsw fetch \(weights.name)' online, or put the file there."
      )
    }
    let url = try url(of: weights)
    guard let library = CurlLibrary.installed else {
      throw FetchError(
        .noLibrary,
        "downloading needs libcurl, which is not installed: run 'apt-get install libcurl4', or download \(url) to \(printable(path.parent))."
      )
    }
    try CacheFolder.create(path.parent)
    var download = Download(weights, url, library, patience, progress)
    guard
      let file = try PartialFile(
        path, replacing: replacing,
        waiting: { () throws(FetchError) in try download.waitForOther() })
    else { return path }
    try download.run(into: file)
    return path
  }

  /// Compares the whole file with the digest in its name.
  ///
  /// - Throws: ``FetchError`` when it can't be read or is another one.
  public func check(_ weights: PublishedWeights) throws(FetchError) {
    let path = try path(of: weights)
    guard let digits = weights.digits else { return }
    let found: String
    do {
      found = SHA256.digest(of: try Bytes(mapping: path))
    } catch {
      throw FetchError(.notCached, "\(error)")
    }
    guard found.hasPrefix(digits) else {
      throw FetchError(
        .wrongContent,
        "\(printable(path)) is not the file that was published: its SHA-256 begins with \(found.prefix(digits.count)). Replace it with 'rsw fetch \(weights.name) --force'."
      )
    }
  }

  /// Where the file is downloaded from.
  package func url(of weights: PublishedWeights) throws(FetchError) -> String {
    guard let mirror else { return weights.url }
    let scheme = mirror.lowercased()
    guard scheme.hasPrefix("http://") || scheme.hasPrefix("https://") else {
      throw FetchError(
        .noSuchWeights,
        "the mirror \(quoted(mirror)) is no URL of http or https: name one, such as https://example.org/models."
      )
    }
    return (mirror.hasSuffix("/") ? mirror : mirror + "/") + weights.fileName
  }
}
