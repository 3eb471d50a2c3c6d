// Every bound that reading a file is held to, in one place. They are generous for real files and
// keep a hostile one from asking for more memory or time than its content justifies.

/// The bounds that reading a checkpoint is held to.
///
/// | limit | default | order of magnitude in large real files |
/// |---|---|---|
/// | `archiveEntries` | 1,000,000 | ~10,000 |
/// | `pickleBytes` | 1 GiB | ~100 MB (optimizer states of large models) |
/// | `pickleOpcodes` | 50,000,000 | ~1,000,000 |
/// | `pickleBaseMemory` | 32 MiB for what a pickle describes, and `pickleMemoryRatio` | 5 MB for 3,000 tensors |
/// | `pickleMemoryRatio` | 6 bytes more for each byte of the file | < 0.1 |
/// | `inflatedPickleBase` | 4 MiB, or `inflatedPickleRatio` times the compressed size if that is more | 1 MB |
/// | `inflatedPickleRatio` | 64 | 5-10 |
/// | `stateDictExpansion` | 16 tensors named for each object of the pickle (modules may share modules) | 1 |
/// | `nameBytes` | 4 MiB for the names of a state dict, or 32 bytes for each object of the pickle if that is more | 300 kB |
/// | `walkedValues` | 50,000 values looked at in a pickle, or one for every eight bytes that its objects take in memory if that is more | 50,000 |
/// | `tensorDimensions` | 64 (PyTorch's own bound) | 8 |
/// | `inflationRatio` | 1,032 (deflate's own bound, for the allocation made before inflating) | – |
/// | `checkedInflationBase` | 256 MiB inflated for the checksums of records that nothing has read, or `checkedInflationRatio` times the file's size if that is more | 0 |
/// | `checkedInflationRatio` | 64 | 5-10 |
/// | `arrayHeaderBytes` | 1 MiB for the header of a .npy file | 128 |
/// | `inflatedHeaderBase` | 16 KiB for one that is compressed, or `inflatedPickleRatio` times the compressed size of its file if that is more | 128 |
/// | `expandedBytes` | 1 GiB a tensor, for copies larger than the storage they come from | 100 MB |
/// | `writtenBytes` | 1 GiB for a file that another one is converted to, or `writtenRatio` times that one's size if that is more (tensors may share memory, but not in every format) | 100 MB |
/// | `writtenRatio` | 64 | 1 |
/// | `headerBytes` | 100 MB (safetensors' own bound) | ~10 MB |
/// | `jsonNesting` | 64 levels | 3 |
/// | `dictNesting` | 64 levels of dicts looked through for a state dict | 3 |
/// | `pathNesting` | 256 levels of dicts, lists and modules in the path of a tensor | 10 |
/// | `tarEntries` | 10,000 | 4 |
/// | `shards` | 10,000 files of one index | ~200 |
public struct Limits: Sendable {
  /// Entries in a zip archive.
  public var archiveEntries = 1_000_000
  /// Bytes of one pickle.
  public var pickleBytes = 1 << 30
  /// Opcodes of one pickle.
  public var pickleOpcodes = 50_000_000
  /// Bytes of memory that what a pickle describes may take, whatever the size of its file.
  public var pickleBaseMemory = 32 << 20
  /// Bytes of memory beyond that for each byte of the file.
  public var pickleMemoryRatio = 6
  /// Bytes that a compressed pickle may inflate to, whatever its compressed size.
  public var inflatedPickleBase = 4 << 20
  /// How many times larger than its compressed bytes a larger pickle may be.
  public var inflatedPickleRatio = 64
  /// Tensors that a state dict may name for each object of its pickle, where modules are shared.
  public var stateDictExpansion = 16
  /// Bytes that the names of a state dict may take together, however few objects its pickle has.
  public var nameBytes = 4 << 20
  /// Values that a search may look at in a pickle, however small it is: objects may share what lies in them.
  public var walkedValues = 50_000
  /// Dimensions of one tensor.
  public var tensorDimensions = 64
  /// How many times larger than its compressed bytes an inflated record may be.
  public var inflationRatio = 1032
  /// Bytes that may be inflated for their checksums alone, whatever the size of the file.
  public var checkedInflationBase = 256 << 20
  /// How many times larger than a larger file they may be.
  public var checkedInflationRatio = 64
  /// Bytes of the header of a .npy file.
  public var arrayHeaderBytes = 1 << 20
  /// Bytes that such a header may inflate to, whatever the compressed size of its file.
  public var inflatedHeaderBase = 16 << 10
  /// Bytes that a copy of a tensor may have where its elements share memory (stride 0).
  public var expandedBytes = 1 << 30
  /// Bytes of a file that a file of any size may be converted to.
  public var writtenBytes = 1 << 30
  /// How many times larger than a larger file it may be.
  public var writtenRatio = 64
  /// Bytes of a safetensors header.
  public var headerBytes = 100_000_000
  /// Levels of JSON.
  public var jsonNesting = 64
  /// Levels of dicts that are looked through for a state dict.
  public var dictNesting = 64
  /// Levels of dicts, lists and modules in the path of a tensor.
  public var pathNesting = 256
  /// Entries of a tar archive.
  public var tarEntries = 10_000
  /// Files that an index may name.
  public var shards = 10_000

  /// The defaults of the table.
  public init() {}

  package static let standard = Limits()

  /// The memory that the paths of tensors may take together, in a pickle of `objectCount` objects.
  package func nameMemory(forObjects objectCount: Int) -> Int {
    let namePart = 32
    return max(nameBytes, objectCount.multipliedReportingOverflow(by: namePart).partialValue)
  }

  /// The bytes that may be inflated for their checksums alone in a file of `byteCount` bytes.
  package func checkedInflation(forFileOf byteCount: Int) -> Int {
    Limits.larger(checkedInflationBase, byteCount, times: checkedInflationRatio)
  }

  /// The bytes of a file that one of `byteCount` bytes may be converted to.
  package func written(fromFileOf byteCount: Int) -> Int {
    Limits.larger(writtenBytes, byteCount, times: writtenRatio)
  }

  private static func larger(_ base: Int, _ byteCount: Int, times ratio: Int) -> Int {
    let (scaled, overflow) = byteCount.multipliedReportingOverflow(by: ratio)
    return overflow ? .max : max(scaled, base)
  }

  /// The values that may be looked at in a pickle whose objects take `memory` bytes.
  package func looks(forMemory memory: Int) -> Int { max(walkedValues, memory / 8) }

  /// The memory that the objects of a pickle in a file of `byteCount` bytes may take.
  package func pickleMemory(forFileOf byteCount: Int) -> Int {
    let (scaled, overflow) = byteCount.multipliedReportingOverflow(by: pickleMemoryRatio)
    let (sum, overflow2) = scaled.addingReportingOverflow(pickleBaseMemory)
    return overflow || overflow2 ? .max : sum
  }
}
