// What follows from how wide a terminal is. Lines that are longer go on below where they began, so that what stands to the
// left stays readable, and bars are as long as there is room. Where results go to a file or a pipe, a line stays one.

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

extension Terminal {
  /// The columns of the terminal that `descriptor` is; nil where it is none.
  static func columns(_ descriptor: CInt) -> Int? {
    guard isatty(descriptor) == 1 else { return nil }
    var size = winsize()
    guard ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return nil }
    return Int(size.ws_col)
  }

  /// Bars that are shorter say nothing.
  static let shortestBar = 5

  /// How many columns a bar may have to the right of every line of `text`, at most `longest`; 0 without room for one.
  static func barWidth(beside text: String, longest: Int) -> Int {
    guard let width = columns(STDOUT_FILENO) else { return longest }
    let widest = text.split(separator: "\n").map(\.count).max() ?? 0
    let room = min(longest, width - widest - 2)
    return room >= shortestBar ? room : 0
  }

  /// `text` with each line broken between words where it would be wider than the terminal.
  ///
  /// - Parameter indent: where what was broken goes on.
  static func fit(_ text: String, indent: Int) -> String {
    // Where there is no room for a few words, the terminal may break lines as it likes.
    guard let width = columns(STDOUT_FILENO), width >= indent + 20 else { return text }
    return text.split(separator: "\n", omittingEmptySubsequences: false)
      .map { broken(String($0), indent: indent, width: width) }.joined(separator: "\n")
  }

  /// `line` in lines of at most `width`, but for words that are longer.
  static func broken(_ line: String, indent: Int, width: Int) -> String {
    guard line.count > width else { return line }
    // What stands left of the indent is kept, whatever spaces it has.
    var lines = [String(line.prefix(indent))]
    for word in line.dropFirst(indent).split(separator: " ", omittingEmptySubsequences: false) {
      let last = lines.count - 1
      if lines[last].count <= indent {
        lines[last] += word
      } else if lines[last].count + 1 + word.count <= width {
        lines[last] += " " + word
      } else {
        lines.append(String(repeating: " ", count: indent) + word)
      }
    }
    return lines.joined(separator: "\n")
  }
}
