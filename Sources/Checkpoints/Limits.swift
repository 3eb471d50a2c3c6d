// Every bound that reading a file is held to, in one place. They are generous for real files and
// keep a hostile one from asking for more memory or time than its content justifies.

/// The bounds that reading a checkpoint is held to.
///
/// | limit | default | order of magnitude in large real files |
/// |---|---|---|
/// | `archiveEntries` | 1,000,000 | ~10,000 |
/// | `pickleBytes` | 1 GiB | ~100 MB (optimizer states of large models) |
/// | `pickleOpcodes` | 50,000,000 | ~1,000,000 |
/// | `tensorDimensions` | 64 (PyTorch's own bound) | 8 |
/// | `inflationRatio` | 1,032 (deflate's own bound, for the allocation made before inflating) | – |
/// | `expandedBytes` | 1 GiB a tensor, for copies larger than the storage they come from | 100 MB |
/// | `headerBytes` | 100 MB (safetensors' own bound) | ~10 MB |
/// | `jsonNesting` | 512 levels | 3 |
/// | `dictNesting` | 64 levels of dicts looked through for a state dict | 3 |
public struct Limits: Sendable {
  /// Entries in a zip archive.
  public var archiveEntries = 1_000_000
  /// Bytes of one pickle.
  public var pickleBytes = 1 << 30
  /// Opcodes of one pickle.
  public var pickleOpcodes = 50_000_000
  /// Dimensions of one tensor.
  public var tensorDimensions = 64
  /// How many times larger than its compressed bytes an inflated record may be.
  public var inflationRatio = 1032
  /// Bytes that a copy of a tensor may have where its elements share memory (stride 0).
  public var expandedBytes = 1 << 30
  /// Bytes of a safetensors header.
  public var headerBytes = 100_000_000
  /// Levels of JSON.
  public var jsonNesting = 512
  /// Levels of dicts that are looked through for a state dict.
  public var dictNesting = 64

  /// The defaults of the table.
  public init() {}

  package static let standard = Limits()
}
