// rsw fetch: published weights, from PyTorch's cache or its server.

import ArgumentParser
import Checkpoints
import Pretrained

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

struct Fetch: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "fetch",
    abstract: "Download published weights, unless PyTorch has done so, and print where they are.",
    discussion: """
      A name is resnet50, resnet50:v1 or resnet50:a1_in1k; without names, or with --list, all weights are listed. \
      Files are kept in PyTorch's cache, under its names: $TORCH_HOME/hub/checkpoints, else \
      $XDG_CACHE_HOME/torch/hub/checkpoints, else ~/.cache/torch/hub/checkpoints. Their SHA-256 must begin with the \
      digits in the name. An interrupted download is continued. Proxies are those of http_proxy, https_proxy and \
      no_proxy.
      """)

  @Argument(help: ArgumentHelp("Which weights.", valueName: "name"), completion: .published)
  var names: [String] = []

  @Flag(
    help:
      "List what there is, all of it or of the named networks, with the accuracy on ImageNet (cifar: CIFAR-10)."
  )
  var list = false

  @Flag(help: "Print only what is there already; an error if it isn't.")
  var offline = false

  @Option(
    help: ArgumentHelp(
      "A URL to download from, in place of the publishers': it has the files under their names. Default: $RSW_PRETRAINED_URL.",
      valueName: "url"))
  var mirror: String?

  @Flag(help: "Download again what is there, and replace it when that is complete.")
  var force = false

  @Flag(help: "Say nothing but errors and the result.")
  var quiet = false

  @Flag(help: "Print JSON.")
  var json = false

  private var cache: WeightsCache { WeightsCache(mirror: mirror, isOffline: offline) }
  private var lists: Bool { list || names.isEmpty }

  func validate() throws {
    if offline, force { throw ValidationError("--offline and --force exclude each other.") }
    do {
      let chosen = try chosen()
      if let first = chosen.first { _ = try cache.url(of: first) }
    } catch {
      throw ValidationError("\(error)")
    }
  }

  /// What the names mean; all rows of a network where they are listed.
  private func chosen() throws(FetchError) -> [PublishedWeights] {
    guard !names.isEmpty else { return PublishedWeights.all }
    var rows: [PublishedWeights] = []
    for name in names {
      let row = try PublishedWeights.named(name)
      rows += list && row.network == name ? PublishedWeights.all.filter { $0.network == name } : [row]
    }
    return rows
  }

  func run() throws {
    try Terminal.reporting {
      let rows = try chosen()
      var paths: [String] = []
      if !lists {
        for row in rows {
          paths.append(try fetch(row))
          if !json { Terminal.printNow(paths[paths.count - 1]) }
        }
      }
      if json {
        print(try document(rows).text(indented: true))
      } else if lists {
        print(listing(rows))
      }
    }
  }

  private func fetch(_ row: PublishedWeights) throws -> String {
    let display = DownloadDisplay(row, isQuiet: quiet)
    defer { display.end() }
    let wasThere = !force && cache.contains(row)
    let path = try cache.file(of: row, replacing: force) { display.show($0) }
    // What was downloaded just now has been compared already.
    if wasThere { try cache.check(row) }
    return path
  }

  private func listing(_ rows: [PublishedWeights]) -> String {
    let head = ["name", "top-1", "top-5", "parameters", "size", "cached", "file"]
    let lines = rows.map { row in
      [
        row.name, row.top1.map { fixed($0, 2) } ?? "", row.top5.map { fixed($0, 2) } ?? "",
        row.parameterCount.map(grouped) ?? "", row.byteCount.map(byteSize) ?? "",
        cache.contains(row) ? "yes" : "", row.fileName,
      ]
    }
    return table([head] + lines, numeric: [1, 2, 3, 4])
  }

  private func document(_ rows: [PublishedWeights]) throws(FetchError) -> JSON {
    var entries: [JSON] = []
    for row in rows {
      var members: [(name: String, value: JSON)] = [
        ("name", .string(row.name)), ("network", .string(row.network)),
        ("weights", .string(row.weights.tag)), ("url", .string(try cache.url(of: row))),
        ("file", .string(try cache.path(of: row))), ("cached", .bool(cache.contains(row))),
      ]
      if let digits = row.digits { members.append(("sha256_prefix", .string(digits))) }
      if let top1 = row.top1 { members.append(("top1", .double(top1))) }
      if let top5 = row.top5 { members.append(("top5", .double(top5))) }
      if let count = row.parameterCount { members.append(("parameters", .int(count))) }
      if let bytes = row.byteCount { members.append(("bytes", .int(bytes))) }
      entries.append(.object(members))
    }
    return .object([("schema", .int(1)), ("weights", .array(entries))])
  }
}

extension FetchError {
  /// What the tool exits with.
  var exitCode: ExitCode {
    switch code {
    case .noSuchWeights: ExitCode(EX_USAGE)
    case .notCached: ExitCode(EX_NOINPUT)
    case .wrongContent: ExitCode(EX_DATAERR)
    case .cannotWrite: ExitCode(EX_CANTCREAT)
    case .noLibrary: ExitCode(EX_UNAVAILABLE)
    default: ExitCode(EX_IOERR)
    }
  }
}

/// Shows how a download goes on.
private final class DownloadDisplay {
  private let name: String
  private let isQuiet: Bool
  private let draws: Bool
  private let clock = ContinuousClock()
  private var lastDrawn: ContinuousClock.Instant?
  /// When bytes began to arrive, and how many were there then.
  private var begin: (time: ContinuousClock.Instant, bytes: Int)?
  private var hasWaited = false

  init(_ weights: PublishedWeights, isQuiet: Bool) {
    (name, self.isQuiet) = (weights.fileName, isQuiet)
    draws = Terminal.showsProgress && !isQuiet
  }

  func show(_ progress: DownloadProgress) {
    switch progress.phase {
    case .waiting:
      if !hasWaited { note("another process downloads \(name): waiting for it") }
      hasWaited = true
    case .retrying(let reason):
      note("\(name): \(reason); trying again")
      begin = nil
    case .downloading, .checking:
      draw(progress)
    }
  }

  private func note(_ text: String) {
    end()
    if !isQuiet { Terminal.note("rsw: \(text)") }
  }

  private func draw(_ progress: DownloadProgress) {
    let now = clock.now
    let start = begin ?? (now, progress.bytes)
    begin = start
    let isDue = lastDrawn.map { now - $0 > .milliseconds(100) } ?? true
    guard draws, isDue || progress.bytes == progress.total else { return }
    lastDrawn = now
    guard let total = progress.total else {
      Terminal.draw(progress: 0, of: 1, remark: byteSize(progress.bytes))
      return
    }
    var remark = "\(byteSize(progress.bytes)) of \(byteSize(total))"
    let seconds = (now - start.time) / .seconds(1)
    if seconds > 1, progress.bytes > start.bytes {
      let rate = Double(progress.bytes - start.bytes) / seconds
      remark += ", \(byteSize(Int(rate)))/s, \(Int(Double(max(0, total - progress.bytes)) / rate)) s"
    }
    Terminal.draw(progress: progress.bytes, of: total, remark: remark)
  }

  /// Takes the progress away.
  func end() {
    if lastDrawn != nil { Terminal.clearProgress() }
    lastDrawn = nil
  }
}
