// The sizes of the tiles of Winograd's algorithms, and the functions that transform them.

import Vectors

/// What one of Winograd's algorithms takes of the input for what it gives of the output.
struct WinogradTile {
  /// Outputs in one dimension.
  let outputs: Int
  /// Inputs in one dimension, and products.
  let size: Int
  /// Elements of a transformed filter in one dimension. Where they are fewer than the products, the last one
  /// serves the others too.
  let filterSize: Int
  /// Of the convolution.
  let stride: Int
  /// Those of an instruction set.
  let functions: @Sendable (VectorKernels) -> WinogradFunctions

  static let f2 = WinogradTile(WinogradF2.self, stride: 1, \.winograd2)
  static let f4 = WinogradTile(WinogradF4.self, stride: 1, \.winograd4)
  static let f3 = WinogradTile(WinogradF3.self, stride: 1, \.winograd3)
  static let strided2 = WinogradTile(WinogradStrided2.self, stride: 2, \.winogradStrided2)

  private init<T: WinogradTransforms>(
    _: T.Type, stride: Int, _ functions: @escaping @Sendable (VectorKernels) -> WinogradFunctions
  ) {
    (outputs, size, filterSize) = (T.tile, T.points, T.filterPoints)
    (self.stride, self.functions) = (stride, functions)
  }

  /// Products of a tile.
  var points: Int { size * size }
  /// Elements of a transformed filter.
  var filterPoints: Int { filterSize * filterSize }

  /// Which element of the filter a product is with.
  func filterPoint(_ point: Int) -> Int {
    min(point / size, filterSize - 1) * filterSize + min(point % size, filterSize - 1)
  }

  /// Tiles beside each other for so many outputs.
  func across(_ count: Int) -> Int { (count + outputs - 1) / outputs }
}
