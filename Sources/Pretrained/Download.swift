// A download that goes on where a connection broke: RFC 9110, sections 13 (If-Range) and 14 (Range). The file is
// named by its digest, so whatever was pieced together is checked as a whole in the end.

import Checkpoints

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// How far a download is.
public struct DownloadProgress: Sendable {
  /// Is called on the thread that waits for the file.
  public typealias Handler = (DownloadProgress) -> Void

  /// What goes on.
  public enum Phase: Sendable, Equatable {
    /// Another process downloads the file.
    case waiting
    /// Bytes arrive.
    case downloading
    /// The connection broke, or the server has no time; the next attempt follows.
    case retrying(reason: String)
    /// All is there, and its digest is computed.
    case checking
  }

  /// What goes on.
  public let phase: Phase
  /// How many bytes are there.
  public let bytes: Int
  /// How many the file has; nil where the server doesn't say.
  public let total: Int?
}

/// The download of one file.
struct Download {
  private let weights: PublishedWeights
  private let url: String
  private let library: CurlLibrary
  private let patience: WeightsCache.Patience
  private let progress: DownloadProgress.Handler?
  /// The version of the file that the server gave the first part of.
  private var tag: String?
  private var total: Int?
  /// Whether the file consists of the answers to several requests.
  private var isPieced = false

  init(
    _ weights: PublishedWeights, _ url: String, _ library: CurlLibrary, _ patience: WeightsCache.Patience,
    _ progress: DownloadProgress.Handler?
  ) {
    (self.weights, self.url, self.library) = (weights, url, library)
    (self.patience, self.progress) = (patience, progress)
    total = weights.byteCount
  }

  /// How an attempt ended that was not an error for good.
  private enum Ending {
    case complete
    /// May go well the next time, in so many seconds where the server says.
    case broken(reason: String, after: Int?)
  }

  func waitForOther() throws(FetchError) {
    try throwIfCancelled()
    report(.waiting, 0)
  }

  private func report(_ phase: DownloadProgress.Phase, _ bytes: Int) {
    progress?(DownloadProgress(phase: phase, bytes: bytes, total: total))
  }

  private func throwIfCancelled() throws(FetchError) {
    if Task.isCancelled { throw FetchError(.cancelled, "the download of \(url) was cancelled.") }
  }

  /// Downloads the rest of `file` and gives it its name.
  mutating func run(into file: PartialFile) throws(FetchError) {
    var file = file
    do throws(FetchError) {
      try fill(&file)
      if try !isGenuine(file) {
        // The parts may be those of different files: all of it once more.
        guard isPieced else { throw try wrongContent(file) }
        try file.empty()
        try fill(&file)
        guard try isGenuine(file) else { throw try wrongContent(file) }
      }
    } catch {
      // What can be continued is kept, but not on a full disk.
      if error.code == .network || error.code == .cancelled { file.keep() } else { file.discard() }
      throw error
    }
    try file.commit()
  }

  private func isGenuine(_ file: PartialFile) throws(FetchError) -> Bool {
    report(.checking, file.count)
    guard let digits = weights.digits else { return true }
    return try file.digest().hasPrefix(digits)
  }

  private func wrongContent(_ file: PartialFile) throws(FetchError) -> FetchError {
    let digits = weights.digits ?? ""
    return FetchError(
      .wrongContent,
      "what \(url) gave is not the file that was published: its SHA-256 begins with \(try file.digest().prefix(digits.count)) (\(file.count) bytes). Try again, or another --mirror."
    )
  }

  /// Asks for the rest of the file until all is there.
  private mutating func fill(_ file: inout PartialFile) throws(FetchError) {
    var (failures, attempts) = (0, 0)
    while true {
      let before = file.count
      guard case .broken(let reason, let wait) = try attempt(&file) else { return }
      attempts += 1
      failures = file.count > before ? 1 : failures + 1
      guard failures < patience.mostFailures, attempts < patience.mostAttempts else {
        let kept =
          file.count > 0 ? " \(file.count) bytes are kept, and the next attempt goes on from there." : ""
        throw FetchError(
          .network,
          "\(url) can't be downloaded: \(reason).\(kept) Check the connection and the proxy settings.")
      }
      report(.retrying(reason: reason), file.count)
      var pause = patience.firstPause
      for _ in 1..<failures { pause *= 2 }
      try sleep(min(patience.longestPause, max(pause, Double(wait ?? 0))))
    }
  }

  private func sleep(_ seconds: Double) throws(FetchError) {
    let step = 0.1
    var left = seconds
    while left > 0 {
      try throwIfCancelled()
      usleep(UInt32(min(left, step) * 1e6))
      left -= step
    }
  }

  /// One request for what is missing.
  private mutating func attempt(_ file: inout PartialFile) throws(FetchError) -> Ending {
    let start = file.count
    var request = HTTPRequest(url: url)
    (request.connectSeconds, request.stallSeconds) = (patience.connectSeconds, patience.stallSeconds)
    if start > 0 {
      request.headerLines.append("Range: bytes=\(start)-")
      if let tag { request.headerLines.append("If-Range: \(tag)") }
    }
    let exchange = HTTPExchange()
    let reception = Reception(file, start: start, mostBytes: weights.mostBytes, tag: tag)
    let progress = progress
    exchange.isCancelled = { Task.isCancelled }
    exchange.receive = { [unowned exchange] bytes in
      guard reception.take(bytes, exchange) else { return false }
      progress?(
        DownloadProgress(phase: .downloading, bytes: reception.file.count, total: reception.total))
      return true
    }
    let outcome = library.perform(request, exchange)
    // A file of no bytes has a header only.
    if outcome.isComplete, !reception.hasBegun, exchange.isFile { reception.begin(exchange, []) }
    file = reception.file
    (tag, total) = (reception.tag, reception.total ?? total)
    if start > 0 { isPieced = exchange.status != 200 }
    try throwIfCancelled()
    return try ending(outcome, exchange, reception, &file)
  }

  private func ending(
    _ outcome: CurlOutcome, _ exchange: HTTPExchange, _ reception: Reception, _ file: inout PartialFile
  ) throws(FetchError) -> Ending {
    if let refusal = reception.refusal {
      switch refusal {
      case .otherPart:
        try file.empty()
        return .broken(reason: "the server gave another part of the file than was asked for", after: nil)
      case .page:
        throw FetchError(
          .wrongContent,
          "\(url) gave a web page in place of the file: log in to the network if it asks for that, or choose another --mirror."
        )
      case .tooLarge(let size):
        throw FetchError(
          .wrongContent,
          "\(url) gives \(size.map(String.init) ?? "more than \(weights.mostBytes)") bytes, where \(weights.fileName) has \(weights.byteCount.map { "about \($0)" } ?? "far fewer"): choose another --mirror."
        )
      case .noRoom(let room):
        throw FetchError(
          .cannotWrite,
          "there is room for \(room) bytes in \(printable(file.path)), and \(total ?? 0) are needed: make room, or set TORCH_HOME to another folder."
        )
      case .cannotWrite(let reason):
        throw CacheFolder.cannotWrite(file.partialPath, "can't be written", reason)
      }
    }
    // An error's page may come incomplete: its status says more.
    if exchange.status >= 400 || outcome.wasStopped { return try refused(exchange, &file) }
    guard outcome.isComplete else {
      let reason = outcome.message.isEmpty ? "libcurl's error \(outcome.code)" : printable(outcome.message)
      if outcome.isPassing { return .broken(reason: reason, after: nil) }
      throw FetchError(.network, "\(url) can't be downloaded: \(reason). \(outcome.advice)")
    }
    guard exchange.isFile else { return try refused(exchange, &file) }
    if let announced = exchange.announcedSize, file.count < announced {
      return .broken(reason: "only \(file.count) of \(announced) bytes came", after: nil)
    }
    return .complete
  }

  /// What a status means that brings no file.
  private func refused(_ exchange: HTTPExchange, _ file: inout PartialFile) throws(FetchError) -> Ending {
    switch exchange.status {
    case 416 where file.count > 0:
      // Nothing is left to be sent: it is complete, or was no part of this file.
      if try isGenuine(file) { return .complete }
      try file.empty()
      return .broken(reason: "the server has no such part of the file", after: nil)
    case 408, 425, 429, 500...599:
      return .broken(reason: "the server answered with status \(exchange.status)", after: exchange.retryAfter)
    case 404, 410:
      throw FetchError(
        .refused, "\(url) does not exist (status \(exchange.status)): check the name and the mirror.")
    case 401, 403, 407:
      throw FetchError(
        .refused,
        "\(url) is not given to everyone (status \(exchange.status)): check the proxy, or choose another --mirror."
      )
    default:
      throw FetchError(
        .refused, "\(url) was answered with status \(exchange.status): check the address and the mirror.")
    }
  }
}
