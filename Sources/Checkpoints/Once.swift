// A value that is made when it is first asked for.

import Synchronization

/// A value that is made once, by the first who asks; others who ask meanwhile wait for it.
///
/// Files hold thousands of records and storages of which few are looked into, so nothing is
/// allocated before.
struct Once<Value: Sendable>: ~Copyable, Sendable {
  private let made = AtomicLazyReference<Locked<Value?>>()

  /// The value if it was made before.
  var known: Value? { made.load()?.withLock { $0 } }

  /// The value, which `make` makes unless it is known; one that throws is tried again.
  func value(_ make: () throws(CheckpointError) -> Value) throws(CheckpointError) -> Value {
    let made = made.load() ?? made.storeIfNil(Locked(nil))
    return try made.withLock { value throws(CheckpointError) in
      if let value { return value }
      let new = try make()
      value = new
      return new
    }
  }
}
