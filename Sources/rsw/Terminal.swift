// What the commands share in talking to people and programs: results go to stdout, all else to
// stderr; errors are one message and an exit code of sysexits.h.

import ArgumentParser
import Checkpoints
import Inference
import NN
import Pretrained
import ResNets

// `stdout` is a variable to C.
#if canImport(Glibc)
  @preconcurrency import Glibc
#elseif canImport(Musl)
  @preconcurrency import Musl
#else
  @preconcurrency import Darwin
#endif

enum Terminal {
  /// Writes a line to stderr.
  static func note(_ text: String) {
    writeToStandardError(text + "\n")
  }

  /// Prints a line that somebody waits for.
  static func printNow(_ text: String) {
    print(text)
    if let problem = outputProblem() {
      note(problem)
      exit(EX_IOERR)
    }
  }

  /// Writes what is still to be written to stdout; a full disk shows only now.
  private static func endOutput() throws {
    if let problem = outputProblem() {
      note(problem)
      throw ExitCode(EX_IOERR)
    }
  }

  private static func outputProblem() -> String? {
    if fflush(stdout) != 0 { return "rsw: standard output can't be written: \(systemMessage(errno))." }
    // An earlier write failed, and what else was called since has other errors.
    return ferror(stdout) != 0 ? "rsw: standard output can't be written." : nil
  }

  /// Makes reading a mapped file that was cut short an error of its own, not a crash.
  ///
  /// The system tells of it by SIGBUS only, and the handler may do little more than write and exit.
  static func explainVanishedPages() {
    signal(SIGBUS) { _ in
      let message: StaticString =
        "rsw: a file was cut short while it was read, or its disk failed. Replace files by renaming others over them.\n"
      unsafe _ = write(STDERR_FILENO, message.utf8Start, message.utf8CodeUnitCount)
      _exit(EX_IOERR)
    }
  }

  private static func writeToStandardError(_ text: String) {
    let bytes = Array(text.utf8)
    _ = write(STDERR_FILENO, bytes, bytes.count)
  }

  /// Runs a command's work; an error becomes a message and an exit code.
  static func reporting(_ work: () throws -> Void) throws {
    var status: ExitCode?
    do {
      try work()
    } catch let error as ExitCode {
      status = error
    } catch let error as CheckpointError {
      note("rsw: \(error)")
      switch error.code {
      case .cannotRead: throw ExitCode(EX_NOINPUT)
      case .cannotWrite: throw ExitCode(EX_CANTCREAT)
      default: throw ExitCode(EX_DATAERR)
      }
    } catch let error as FetchError {
      note("rsw: \(error)")
      throw error.exitCode
    } catch {
      note("rsw: \(error)")
      throw ExitCode(EX_DATAERR)
    }
    try endOutput()
    if let status { throw status }
  }

  /// Whether progress may be drawn.
  static var showsProgress: Bool { isRich(STDERR_FILENO) }

  /// Whether results are read by people, not by programs.
  static var showsResults: Bool { isatty(STDOUT_FILENO) == 1 }

  /// Whether results are read by people on a terminal that can draw.
  static var drawsResults: Bool { isRich(STDOUT_FILENO) }

  private static func isRich(_ descriptor: CInt) -> Bool {
    func setting(_ name: String) -> String { getenv(name).map { String(cString: $0) } ?? "" }
    return isatty(descriptor) == 1 && setting("NO_COLOR").isEmpty && setting("TERM") != "dumb"
  }

  /// Draws how far the work is, in place, with `remark` behind it. Where there is little room the bar is shorter, or
  /// the remark ends sooner.
  static func draw(progress done: Int, of total: Int, remark: String = "") {
    let done = max(0, min(done, total))
    let percent = "\(total > 0 ? done * 100 / total : 100)%" + (remark.isEmpty ? "" : "  " + remark)
    let room = (columns(STDERR_FILENO) ?? .max) - 1
    let width = min(30, room - percent.count - 3)
    var line = String(percent.prefix(room))
    if width >= shortestBar {
      let filled = total > 0 ? done * width / total : width
      let bar = String(repeating: "=", count: filled) + String(repeating: " ", count: width - filled)
      line = "[\(bar)] " + percent
    }
    writeToStandardError("\r\(line)\u{1B}[K")
  }

  /// Takes the progress away.
  static func clearProgress() {
    writeToStandardError("\r\u{1B}[K")
  }
}

/// The bytes of memory that this machine has.
func physicalMemory() -> Int {
  let (pages, size) = (sysconf(CInt(_SC_PHYS_PAGES)), sysconf(CInt(_SC_PAGESIZE)))
  return pages > 0 && size > 0 ? pages * size : .max
}

/// The errors of files that are read for a model name the file too.
struct FileError: Error, CustomStringConvertible {
  let file: String
  let cause: any Error
  var description: String { "\(printable(file)): \(cause)" }
}

/// Calls `work`; what it throws names `file`.
func concerning<Result>(_ file: String, _ work: () throws -> Result) throws -> Result {
  do {
    return try work()
  } catch let error as CheckpointError {
    throw error.inFile(file)
  } catch {
    throw FileError(file: file, cause: error)
  }
}

/// `1234567` as `1,234,567`.
func grouped(_ number: Int) -> String {
  let digits = Array(String(number.magnitude))
  var result = number < 0 ? "-" : ""
  for (index, digit) in digits.enumerated() {
    if index > 0, (digits.count - index).isMultiple(of: 3) { result += "," }
    result.append(digit)
  }
  return result
}

/// A size in bytes with the largest decimal unit that keeps it above 1.
func byteSize(_ bytes: Int) -> String {
  let units = ["bytes", "kB", "MB", "GB", "TB"]
  var value = Double(bytes)
  var unit = 0
  while value >= 1000, unit < units.count - 1 {
    value /= 1000
    unit += 1
  }
  return unit == 0 ? "\(bytes) bytes" : "\(fixed(value, 1)) \(units[unit])"
}

/// `value` with `digits` digits behind the point.
func fixed(_ value: Double, _ digits: Int) -> String {
  var scale = 1.0
  for _ in 0..<digits { scale *= 10 }
  guard let scaled = Int(exactly: (abs(value) * scale).rounded()) else { return "\(value)" }
  let text = String(scaled)
  let padded = String(repeating: "0", count: max(0, digits + 1 - text.count)) + text
  let sign = value < 0 && scaled != 0 ? "-" : ""
  return digits == 0 ? sign + padded : sign + padded.dropLast(digits) + "." + padded.suffix(digits)
}

/// `value` with at most `digits` digits that count, as `%g` of C has it.
func general(_ value: Double, _ digits: Int) -> String { formatted(value, "%.*g", digits) }

/// `value` as C's printf has it with this format and precision.
func formatted(_ value: Double, _ format: String, _ digits: Int) -> String {
  // The largest Double has 309 digits before the point.
  var text = [CChar](repeating: 0, count: 512)
  let length = withVaList([CInt(clamping: digits), value]) { vsnprintf(&text, text.count, format, $0) }
  return String(decoding: text.prefix(max(0, Int(length))).map { UInt8(bitPattern: $0) }, as: UTF8.self)
}

private let widestCell = 200

/// Lines of columns; the columns in `numeric` are aligned to the right.
func table(_ rows: [[String]], numeric: Set<Int>) -> String {
  var widths: [Int] = []
  for row in rows {
    for (column, cell) in row.enumerated() {
      if column == widths.count { widths.append(0) }
      // A cell that is longer than any line would be takes no room in the others.
      if cell.count <= widestCell { widths[column] = max(widths[column], cell.count) }
    }
  }
  return rows.map { row in
    let cells = row.enumerated().map { column, cell in
      let padding = String(repeating: " ", count: max(0, widths[column] - cell.count))
      return numeric.contains(column) ? padding + cell : cell + padding
    }
    var line = cells.joined(separator: "  ")
    while line.last == " " { line.removeLast() }
    return line
  }.joined(separator: "\n")
}
