// Winograd's minimal filtering (Winograd 1980, "Arithmetic complexity of computations"; Lavin and
// Gray 2016, "Fast algorithms for convolutional neural networks", arXiv:1509.09308).
//
// The m outputs of a filter of r taps over d, with d of m + r − 1 elements,
//
//     y[i] = Σ g[k] · d[i + k]
//
// are Aᵀ · ((G · g) ⊙ (Bᵀ · d)): m + r − 1 multiplications instead of r · m. The filter and d are taken as
// polynomials and evaluated at m + r − 2 points and ∞; products of values are values of the product,
// through which Aᵀ interpolates. In two dimensions each matrix is applied to rows and columns.

/// The matrices of F(m, r), as fractions: one row of G for each product.
package struct WinogradMatrices: Sendable {
  /// A fraction in lowest terms.
  package struct Ratio: Sendable {
    package let numerator: Int
    package let denominator: Int

    init(_ numerator: Int, over denominator: Int = 1) {
      (self.numerator, self.denominator) = (numerator, denominator)
    }
  }

  /// `[outputs, products]`: from products to outputs.
  package let aTransposed: [[Ratio]]
  /// `[products, taps]`: transforms a filter.
  package let g: [[Ratio]]
  /// `[products, inputs]`: transforms the input.
  package let bTransposed: [[Ratio]]

  private init(aTransposed: [[Int]], g: [[Int]], over denominators: [Int], bTransposed: [[Int]]) {
    self.aTransposed = aTransposed.map { $0.map { Ratio($0) } }
    self.g = zip(g, denominators).map { row, denominator in row.map { Ratio($0, over: denominator) } }
    self.bTransposed = bTransposed.map { $0.map { Ratio($0) } }
  }

  /// F(2, 3): points 0, 1, −1, ∞.
  package static let f2 = WinogradMatrices(
    aTransposed: [
      [1, 1, 1, 0],
      [0, 1, -1, 1],
    ],
    g: [
      [1, 0, 0],
      [1, 1, 1],
      [1, -1, 1],
      [0, 0, 1],
    ], over: [1, 2, 2, 1],
    bTransposed: [
      [1, 0, -1, 0],
      [0, 1, 1, 0],
      [0, -1, 1, 0],
      [0, -1, 0, 1],
    ])

  /// Bᵀ for points 0, 1, −1, 2, −2, ∞, however many taps the filter has.
  private static let inputOfSixPoints = [
    [4, 0, -5, 0, 1, 0],
    [0, -4, -4, 1, 1, 0],
    [0, 4, -4, -1, 1, 0],
    [0, -2, -1, 2, 1, 0],
    [0, 2, -1, -2, 1, 0],
    [0, 4, 0, -5, 0, 1],
  ]

  /// F(4, 3): points 0, 1, −1, 2, −2, ∞.
  package static let f4 = WinogradMatrices(
    aTransposed: [
      [1, 1, 1, 1, 1, 0],
      [0, 1, -1, 2, -2, 0],
      [0, 1, 1, 4, 4, 0],
      [0, 1, -1, 8, -8, 1],
    ],
    g: [
      [1, 0, 0],
      [-1, -1, -1],
      [-1, 1, -1],
      [1, 2, 4],
      [1, -2, 4],
      [0, 0, 1],
    ], over: [4, 6, 6, 24, 24, 1],
    bTransposed: inputOfSixPoints)

  /// F(3, 4): the points of F(4, 3).
  package static let f3 = WinogradMatrices(
    aTransposed: [
      [1, 1, 1, 1, 1, 0],
      [0, 1, -1, 2, -2, 0],
      [0, 1, 1, 4, 4, 1],
    ],
    g: [
      [1, 0, 0, 0],
      [-1, -1, -1, -1],
      [-1, 1, -1, 1],
      [1, 2, 4, 8],
      [1, -2, 4, -8],
      [0, 0, 0, 1],
    ], over: [4, 6, 6, 24, 24, 1],
    bTransposed: inputOfSixPoints)

  /// F(2, 3) of stride 2: `y[i] = Σ g[k] · d[2i + k]`. The even inputs meet the filter's outer taps alone, as in
  /// F(2, 2) with points 0, 1, ∞; each odd one is multiplied by the middle tap.
  package static let strided2 = WinogradMatrices(
    aTransposed: [
      [1, 1, 0, 1, 0],
      [0, 1, 1, 0, 1],
    ],
    g: [
      [1, 0, 0],
      [1, 0, 1],
      [0, 0, 1],
      [0, 1, 0],
      [0, 1, 0],
    ], over: [1, 1, 1, 1, 1],
    bTransposed: [
      [1, 0, -1, 0, 0],
      [0, 0, 1, 0, 0],
      [0, 0, -1, 0, 1],
      [0, 1, 0, 0, 0],
      [0, 0, 0, 1, 0],
    ])
}
