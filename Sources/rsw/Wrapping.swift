// Lines that are longer than the terminal is wide go on below where they began, so that what stands to the left stays
// readable. Where results go to a file or a pipe, a line stays one.

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

extension Terminal {
  /// The columns of the terminal that results go to; nil where they go elsewhere.
  static var width: Int? {
    guard isatty(STDOUT_FILENO) == 1 else { return nil }
    var size = winsize()
    guard ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return nil }
    return Int(size.ws_col)
  }

  /// `text` with each line broken between words where it would be wider than the terminal.
  ///
  /// - Parameter indent: where what was broken goes on.
  static func fit(_ text: String, indent: Int) -> String {
    // Where there is no room for a few words, the terminal may break lines as it likes.
    guard let width, width >= indent + 20 else { return text }
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
