// What lies in the dicts and lists of a pickle, where it lies: thousands of objects may share one dict of
// thousands of entries, so nothing is copied.

/// Keys and values of one or more dicts, one after the other.
struct PickleEntries: Sequence {
  typealias Element = (key: PickleValue, value: PickleValue)

  /// How entries lie in the pickle.
  enum Piece {
    /// Keys and values in turn.
    case flat([PickleValue])
    /// Tuples or lists of a key and a value; what is none is passed over.
    case pairs([PickleValue])

    var count: Int {
      switch self {
      case .flat(let values): values.count / 2
      case .pairs(let values): values.count
      }
    }
  }

  private let heap: PickleHeap
  private let pieces: [Piece]
  /// How many there are at most.
  let count: Int

  init(_ heap: PickleHeap, _ pieces: Piece...) {
    self.init(heap, pieces)
  }

  private init(_ heap: PickleHeap, _ pieces: [Piece]) {
    self.heap = heap
    self.pieces = pieces
    count = pieces.reduce(0) { $0 + $1.count }
  }

  var isEmpty: Bool { count == 0 }

  static func + (a: PickleEntries, b: PickleEntries) -> PickleEntries {
    a.isEmpty ? b : b.isEmpty ? a : PickleEntries(a.heap, a.pieces + b.pieces)
  }

  func makeIterator() -> Iterator { Iterator(heap, pieces[...]) }

  struct Iterator: IteratorProtocol {
    private let heap: PickleHeap
    private var rest: ArraySlice<Piece>
    private var values: [PickleValue] = []
    private var isFlat = true
    private var position = 0

    fileprivate init(_ heap: PickleHeap, _ pieces: ArraySlice<Piece>) {
      self.heap = heap
      rest = pieces
    }

    mutating func next() -> Element? {
      while true {
        while position < values.count {
          if isFlat {
            guard position + 1 < values.count else { break }
            position += 2
            return (values[position - 2], values[position - 1])
          }
          position += 1
          if let pair = heap.sequence(values[position - 1]), pair.count == 2 { return (pair[0], pair[1]) }
        }
        guard let piece = rest.popFirst() else { return nil }
        position = 0
        switch piece {
        case .flat(let values): (self.values, isFlat) = (values, true)
        case .pairs(let values): (self.values, isFlat) = (values, false)
        }
      }
    }
  }
}

/// The elements of a list or its like: those that it was made with, and those that were added.
struct PickleElements: RandomAccessCollection {
  private let first: [PickleValue]
  private let rest: [PickleValue]

  init(_ first: [PickleValue], _ rest: [PickleValue] = []) {
    self.first = first
    self.rest = rest
  }

  var startIndex: Int { 0 }
  var endIndex: Int { first.count + rest.count }
  subscript(position: Int) -> PickleValue {
    position < first.count ? first[position] : rest[position - first.count]
  }
}
