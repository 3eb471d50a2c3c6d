// rsw fetch.

import Foundation
import TestSupport
import Testing

@Suite struct FetchToolTests {
  /// Its SHA-256 begins with 11ad3fa6, as the name of resnet50's file says.
  private static let content = Array("rsw test 00060642186".utf8)
  private static let file = "resnet50-11ad3fa6.pth"

  /// A TORCH_HOME, and the tool that knows it.
  private struct Home {
    let folder: TemporaryFolder
    var environment: [String: String?]

    init(_ server: FaultyServer? = nil) throws {
      folder = try TemporaryFolder()
      environment = [
        "TORCH_HOME": folder.path("torch"), "no_proxy": "127.0.0.1",
        "RSW_PRETRAINED_URL": server.map { $0.url + "/models" } ?? "http://127.0.0.1:1",
      ]
    }

    var path: String { folder.path("torch/hub/checkpoints/\(FetchToolTests.file)") }
    var bytes: [UInt8]? { (try? Data(contentsOf: URL(filePath: path))).map(Array.init) }
    var names: [String] {
      ((try? FileManager.default.contentsOfDirectory(atPath: folder.path("torch/hub/checkpoints"))) ?? [])
        .sorted()
    }

    func run(_ arguments: String...) throws -> Tool.Outcome {
      try Tool.run(["fetch"] + arguments, environment: environment)
    }
  }

  @Test func thePathIsPrintedAndTheFileKept() throws {
    let server = try FaultyServer { $1.file(FetchToolTests.content, $0) }
    let home = try Home(server)
    for _ in 0..<2 {
      let outcome = try home.run("resnet50")
      #expect(outcome.status == 0)
      #expect(outcome.output == home.path + "\n")
      #expect(outcome.errors == "")
    }
    #expect(home.bytes == FetchToolTests.content)
    #expect(try home.run("resnet50:v2", "--offline").output == home.path + "\n")
    #expect(server.requests.map(\.target) == ["/models/\(FetchToolTests.file)"])
  }

  @Test func aDamagedFileIsToldAndReplaced() throws {
    let server = try FaultyServer { $1.file(FetchToolTests.content, $0) }
    let home = try Home(server)
    _ = try home.run("resnet50")
    try Data("damaged".utf8).write(to: URL(filePath: home.path))
    let damaged = try home.run("resnet50")
    #expect(damaged.status == 65)
    #expect(damaged.output == "")
    #expect(damaged.errors.contains("rsw fetch resnet50:v2 --force"), "\(damaged.errors)")
    #expect(try home.run("resnet50", "--force").status == 0)
    #expect(home.bytes == FetchToolTests.content)
  }

  @Test func errorsHaveTheirStatus() throws {
    let server = try FaultyServer { $1.head("404 Not Found", "Content-Length: 0") }
    let home = try Home(server)
    let offline = try home.run("resnet18", "--offline")
    #expect(offline.status == 66)
    #expect(offline.errors.contains("resnet18-f37072fd.pth is not in"), "\(offline.errors)")
    let absent = try home.run("resnet18")
    #expect(absent.status == 74)
    #expect(absent.errors.contains("\(server.url)/models/resnet18-f37072fd.pth does not exist"))
    let unknown = try home.run("resnet51")
    #expect(unknown.status == 64)
    #expect(unknown.errors.contains("Did you mean resnet50?"), "\(unknown.errors)")
    #expect(try home.run("resnet18", "--mirror", "example.org").status == 64)
    let wrong = try FaultyServer { $1.file([0], $0) }
    #expect(try home.run("resnet18", "--mirror", wrong.url).status == 65)
    #expect(home.names == [])
  }

  @Test func twoProcessesDownloadOnce() throws {
    let mayAnswer = DispatchSemaphore(value: 0)
    let server = try FaultyServer { request, connection in
      mayAnswer.wait()
      connection.file(FetchToolTests.content, request)
    }
    let home = try Home(server)
    let (first, firstOutput, _) = try start(home)
    while server.requests.isEmpty, first.isRunning { usleep(10_000) }
    let (second, secondOutput, secondErrors) = try start(home)
    // Comes when it has something to say, or ends.
    let note = String(decoding: secondErrors.fileHandleForReading.availableData, as: UTF8.self)
    #expect(note == "rsw: another process downloads \(FetchToolTests.file): waiting for it\n")
    for _ in 0..<2 { mayAnswer.signal() }
    for (process, output) in [(first, firstOutput), (second, secondOutput)] {
      let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
      process.waitUntilExit()
      #expect(text == home.path + "\n")
    }
    #expect(server.requests.count == 1)
    #expect(home.names == [FetchToolTests.file])
  }

  /// Starts to fetch resnet50.
  private func start(_ home: Home) throws -> (Process, output: Pipe, errors: Pipe) {
    let (process, output, errors) = (Process(), Pipe(), Pipe())
    process.executableURL = Tool.url
    process.arguments = ["fetch", "resnet50"]
    process.environment = home.environment.compactMapValues(\.self)
    (process.standardOutput, process.standardError) = (output, errors)
    try process.run()
    return (process, output, errors)
  }

  @Test func aKilledDownloadIsContinued() throws {
    let server = try FaultyServer { request, connection in
      if request.index == 0 {
        connection.file(FetchToolTests.content, request, upTo: 12)
        _ = connection.isLeft(within: 30)
      } else {
        connection.file(FetchToolTests.content, request)
      }
    }
    let home = try Home(server)
    let (process, _, _) = try start(home)
    let part = URL(filePath: home.path + ".partial")
    for _ in 0..<2000 where (try? Data(contentsOf: part).count) != 12 { usleep(10_000) }
    kill(process.processIdentifier, SIGKILL)
    process.waitUntilExit()
    #expect(home.names == [FetchToolTests.file + ".partial"])
    #expect(try home.run("resnet50").output == home.path + "\n")
    #expect(server.requests.map(\.rangeStart) == [nil, 12])
    #expect(home.names == [FetchToolTests.file])
  }

  @Test func aFullDiskLeavesNothing() throws {
    let server = try FaultyServer { $1.file([UInt8](repeating: 0, count: 100_000), $0) }
    let home = try Home(server)
    let shell = Process()
    shell.executableURL = URL(filePath: "/bin/sh")
    // Files may not grow beyond some kilobytes, which fails as a full disk does.
    shell.arguments = ["-c", "trap '' XFSZ; ulimit -f 8; exec \"$0\" fetch resnet50", Tool.url.path]
    shell.environment = home.environment.compactMapValues(\.self)
    let errors = Pipe()
    shell.standardError = errors
    try shell.run()
    let text = String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    shell.waitUntilExit()
    #expect(shell.terminationStatus == 73)
    #expect(text.contains("can't be written: File too large"), "\(text)")
    #expect(home.names == [])
  }

  @Test func theProxyOfTheEnvironmentIsAsked() throws {
    let proxy = try FaultyServer { $1.file(FetchToolTests.content, $0) }
    var home = try Home()
    home.environment["no_proxy"] = .some(nil)
    home.environment["http_proxy"] = proxy.url
    #expect(try home.run("resnet50", "--mirror", "http://nowhere.invalid/x").status == 0)
    #expect(proxy.requests.map(\.target) == ["http://nowhere.invalid/x/\(FetchToolTests.file)"])
    home.environment["no_proxy"] = "nowhere.invalid"
    home.environment["TORCH_HOME"] = home.folder.path("other")
    #expect(try home.run("resnet50", "--mirror", "http://127.0.0.1:\(proxy.port)", "--offline").status == 66)
    #expect(proxy.requests.count == 1)
  }

  @Test func theCacheIsFoundAsPyTorchFindsIt() throws {
    var home = try Home()
    func missing(_ changes: [String: String?]) throws -> String {
      home.environment.merge(changes) { $1 }
      return try home.run("resnet50", "--offline").errors
    }
    let here = home.folder.path("here")
    #expect(try missing(["TORCH_HOME": here]).contains("not in \(here)/hub/checkpoints/,"))
    #expect(try missing(["TORCH_HOME": "~/t", "HOME": here]).contains("not in \(here)/t/hub/checkpoints/,"))
    let caches = try missing(["TORCH_HOME": nil, "XDG_CACHE_HOME": here])
    #expect(caches.contains("not in \(here)/torch/hub/checkpoints/,"))
    let usual = try missing(["XDG_CACHE_HOME": nil])
    #expect(usual.contains("not in \(here)/.cache/torch/hub/checkpoints/,"))
    // Without HOME it is the folder in the list of users.
    #expect(try missing(["HOME": nil]).contains("/.cache/torch/hub/checkpoints/,"))
  }

  @Test func theListTellsWhatIsThere() throws {
    let server = try FaultyServer { $1.file(FetchToolTests.content, $0) }
    let home = try Home(server)
    _ = try home.run("resnet50")
    let all = try home.run()
    #expect(all.status == 0)
    #expect(all.output.hasPrefix("name "))
    let lines = try home.run("--list", "resnet50", "resnet18:v1").output.split(separator: "\n")
    #expect(lines.contains { $0.hasPrefix("resnet50:v2") && $0.contains("80.86") && $0.contains("yes") })
    #expect(
      lines.contains { $0.hasPrefix("resnet50:v1") && $0.contains("25,557,032") && !$0.contains("yes") })
    #expect(lines.last?.hasPrefix("resnet18:v1 ") == true)
    let document = try home.run("resnet50", "--json")
    let object = try JSONSerialization.jsonObject(with: Data(document.output.utf8)) as? [String: Any]
    #expect(object?["schema"] as? Int == 1)
    let weights = try #require((object?["weights"] as? [[String: Any]])?.first)
    #expect(weights["file"] as? String == home.path)
    #expect(weights["sha256_prefix"] as? String == "11ad3fa6")
    #expect(weights["cached"] as? Bool == true)
    #expect(weights["top1"] as? Double == 80.858)
  }
}
