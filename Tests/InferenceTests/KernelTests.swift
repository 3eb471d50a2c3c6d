// The kernels of every instruction set that this CPU has do what plain Swift does.

import Inference
import NN
import TestSupport
import Testing
import Vectors

@Suite struct KernelTests {
  /// Counts around the widths of all vectors.
  private static let counts = [1, 3, 4, 7, 8, 15, 16, 17, 21, 33]

  private static let bounds: [Bounds] = [.none, .relu, Bounds(floor: -0.5, ceiling: 0.75)]

  private func limited(_ value: Float, _ bounds: Bounds) -> Float {
    min(max(value, bounds.floor), bounds.ceiling)
  }

  private func check(
    _ actual: [Float], _ expected: [Float], _ kernels: VectorKernels, _ what: String,
    tolerance: Float = 1e-6
  ) {
    let difference = difference(actual, expected, tolerance: tolerance)
    #expect(difference == nil, "\(kernels.name), \(what): \(difference ?? "")")
  }

  @Test(arguments: VectorKernels.available.indices, counts) func elementwiseKernels(
    _ instructions: Int, _ count: Int
  ) {
    let kernels = VectorKernels.available[instructions]
    var random = SplitMix64(state: 4)
    func values(_ count: Int) -> [Float] { (0..<count).map { _ in Float(random.normal()) } }
    let (a, b, c) = (values(count), values(count), values(count))
    var result = [Float](repeating: .nan, count: count)

    kernels.copy(a, count, &result)
    check(result, a, kernels, "copy")
    kernels.add(a, b, count, .relu, &result)
    check(result, zip(a, b).map { max(0, $0 + $1) }, kernels, "add")
    let bounds = Bounds(floor: -0.5, ceiling: 0.25)
    kernels.limit(a, count, bounds, &result)
    check(result, a.map { limited($0, bounds) }, kernels, "limit")
    // 3 pixels.
    let (pixels, added) = (values(3 * count), values(3 * count))
    for (shift, residual) in [(nil, nil), (c, nil), (nil, added), (c, added)] {
      for bounds in KernelTests.bounds {
        var result = [Float](repeating: .nan, count: 3 * count)
        kernels.affine(pixels, 3, count, b, shift, residual, bounds, &result)
        let expected = pixels.indices.map { index in
          limited(
            pixels[index] * b[index % count] + (shift?[index % count] ?? 0) + (residual?[index] ?? 0), bounds)
        }
        check(result, expected, kernels, "affine")

        guard let shift else { continue }
        kernels.normalize(pixels, 3, count, a, b, shift, residual, bounds, &result)
        let normalized = pixels.indices.map { index in
          let channel = index % count
          return limited(
            (pixels[index] - a[channel]) * b[channel] + shift[channel] + (residual?[index] ?? 0), bounds)
        }
        check(result, normalized, kernels, "normalize")
      }
    }

    // 3 rows of a matrix that is 5 columns wider than the block.
    let stride = count + 5
    let (matrix, residual) = (values(3 * stride), values(3 * stride))
    for added in [nil, residual] {
      var block = matrix
      kernels.epilogue(&block, 3, count, stride, b, added, .relu)
      let expected = matrix.indices.map { index in
        let column = index % stride
        return column < count ? max(0, matrix[index] + b[column] + (added?[index] ?? 0)) : matrix[index]
      }
      check(block, expected, kernels, "epilogue")
    }
  }

  @Test(arguments: VectorKernels.available.indices, counts) func poolingKernels(
    _ instructions: Int, _ channels: Int
  ) {
    let kernels = VectorKernels.available[instructions]
    var random = SplitMix64(state: 5)
    let (rows, columns, rowStride) = (2, 3, 4 * channels)
    let source = (0..<rows * rowStride).map { _ in Float(random.normal()) }
    var result = [Float](repeating: .nan, count: channels)
    func pixels(_ channel: Int) -> [Float] {
      (0..<rows * columns).map { index -> Float in
        let start = index / columns * rowStride
        return source[start + index % columns * channels + channel]
      }
    }
    kernels.maximum(source, rows, columns, rowStride, channels, &result)
    check(result, (0..<channels).map { pixels($0).max() ?? 0 }, kernels, "maximum")
    kernels.sum(source, rows, columns, rowStride, channels, 0.25, &result)
    check(result, (0..<channels).map { pixels($0).reduce(0, +) * 0.25 }, kernels, "sum")

    let weights: [Float] = [1, 2, 1, 2, 4, 2, 1, 2, 1].map { $0 / 16 }
    source.withUnsafeBufferPointer { source in
      let starts = (0..<9).map { $0 * 7 % 8 * channels }
      kernels.blur(starts.map { source.baseAddress! + $0 }, channels, &result)
      let expected = (0..<channels).map { channel in
        zip(starts, weights).reduce(0) { $0 + source[$1.0 + channel] * $1.1 }
      }
      check(result, expected, kernels, "blur")
    }
  }

  /// Numbers of pixels around those that are added at once and in a block, and values whose mean is large
  /// beside what they differ from it.
  @Test(arguments: VectorKernels.available.indices, [1, 7, 8, 9, 31, 32, 33, 64, 65, 1000, 20_011])
  func statisticsKernels(_ instructions: Int, _ pixels: Int) {
    let kernels = VectorKernels.available[instructions]
    var random = SplitMix64(state: 6)
    for channels in [1, 3, 8, 21] {
      let source = (0..<pixels * channels).map { _ in Float(10 + random.normal()) }
      var block = [Float](repeating: .nan, count: 2 * channels)
      var sums = [Double](repeating: 0, count: channels)
      kernels.sums(source, pixels, channels, &block, &sums)
      var (means, squares) = ([Double](repeating: .nan, count: channels), sums)
      kernels.moments(source, pixels, channels, &block, &means, &squares)
      for channel in 0..<channels {
        let values = (0..<pixels).map { Double(source[$0 * channels + channel]) }
        let sum = values.reduce(0, +)
        let mean = sum / Double(pixels)
        let variation = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
        let what = "\(kernels.name), \(pixels) pixels, channel \(channel) of \(channels)"
        #expect(abs(sums[channel] - sum) <= 2e-7 * abs(sum), "\(what): \(sums[channel]) instead of \(sum)")
        #expect(
          abs(means[channel] - mean) <= 2e-7 * abs(mean), "\(what): \(means[channel]) instead of \(mean)")
        #expect(
          abs(squares[channel] - variation) <= 5e-6 * variation + 1e-12 * Double(pixels),
          "\(what): \(squares[channel]) instead of \(variation)")
      }
    }
  }

  /// Products of every number of rows that tiles are made for, and of columns that end inside a panel.
  @Test(arguments: VectorKernels.available.indices, Array(1...30)) func matrixProduct(
    _ instructions: Int, _ rows: Int
  ) {
    let kernels = VectorKernels.available[instructions]
    let panel = kernels.panelColumns
    var random = SplitMix64(state: UInt64(rows))
    func values(_ count: Int) -> [Float] { (0..<count).map { _ in Float(random.normal()) } }
    let deep = 2 * MatrixKernel.depthAtOnce + 1
    // Rows of the left matrix and of the target lie further apart than they are long; those 4 KiB apart have tiles of
    // their own.
    for (depth, leftStride, columns) in [
      (1, 4, 1), (3, 6, panel), (17, 20, panel + 1), (64, 67, 3 * panel - 1), (5, 8, 2 * panel),
      (deep, deep + 3, panel + 3), (5, 1024, panel),
    ] {
      let stride = columns + 2
      let (left, weights) = (values(rows * leftStride), values(depth * columns))
      var packed = [Float](repeating: .nan, count: (columns + panel - 1) / panel * panel * depth)
      for k in 0..<depth {
        for column in 0..<columns {
          packed[(column / panel * depth + k) * panel + column % panel] = weights[k * columns + column]
        }
      }
      let (bias, residual) = (values(columns), values(rows * stride))
      for (bias, residual, bounds) in [
        (nil, nil, Bounds.none), (bias, residual, .relu),
        // Some of the sums are larger, whatever the depth.
        (bias, nil, Bounds(floor: 0, ceiling: Float(depth).squareRoot())),
      ] {
        var target = [Float](repeating: 7, count: rows * stride)
        kernels.multiply(
          left, leftStride, rows, depth, packed, columns, bias, residual, bounds, &target, stride, packed)
        let expected = target.indices.map { index -> Float in
          let (row, column) = (index / stride, index % stride)
          guard column < columns else { return 7 }  // what lies between the rows stays
          let sum = (0..<depth).reduce(0.0) {
            $0 + Double(left[row * leftStride + $1]) * Double(weights[$1 * columns + column])
          }
          return limited(
            Float(sum + Double(bias?[column] ?? 0) + Double(residual?[index] ?? 0)), bounds)
        }
        let product = "product of \(rows) × \(depth) and \(depth) × \(columns)"
        check(target, expected, kernels, product, tolerance: 3e-6)
        guard let residual else { continue }
        target = residual
        target.withUnsafeMutableBufferPointer { target in
          guard let start = target.baseAddress else { return }
          kernels.multiply(
            left, leftStride, rows, depth, packed, columns, bias, start, bounds, start, stride, packed)
        }
        let inPlace = expected.indices.map { $0 % stride < columns ? expected[$0] : residual[$0] }
        check(target, inPlace, kernels, product + " added to where it goes", tolerance: 3e-6)
      }
    }
  }

  /// The sums of blocks whose halves are of one size or not, and products that are added to two matrices.
  @Test(arguments: VectorKernels.available.indices, [1, 2, 7, 14, 15, 29]) func strassenKernels(
    _ instructions: Int, _ upper: Int
  ) {
    let kernels = VectorKernels.available[instructions]
    var random = SplitMix64(state: UInt64(upper))
    func values(_ count: Int) -> [Float] { (0..<count).map { _ in Float(random.normal()) } }
    for (lower, count) in [(upper, 5), (upper - 1, 16), (upper, 37), (upper - 1, 64)] {
      var block = values((upper + lower) * 2 * count)
      let zeros = [Float](repeating: 0, count: 2 * count)
      let (rowStride, stride) = (count + 3, upper * (count + 3) + 5)
      var sums = [Float](repeating: .nan, count: 4 * stride)
      #expect(kernels.strassenSums(block, upper, lower, count, zeros, &sums, rowStride, stride))
      for row in 0..<upper {
        for column in 0..<count {
          func pixel(_ row: Int, _ half: Int) -> Float {
            row < upper + lower ? block[row * 2 * count + half * count + column] : 0
          }
          let (a1, a2, b1, b2) = (pixel(row, 0), pixel(row, 1), pixel(upper + row, 0), pixel(upper + row, 1))
          let place = row * rowStride + column
          check(
            (0..<4).map { sums[$0 * stride + place] }, [b1 + b2, b1 + b2 - a1, a1 - b1, a2 - (b1 + b2 - a1)],
            kernels, "sums of \(upper) and \(lower) rows of \(count)")
        }
      }
      for place in [0, block.count / 2, block.count - 1] {
        let value = block[place]
        block[place] = place == 0 ? .infinity : .nan
        #expect(!kernels.strassenSums(block, upper, lower, count, zeros, &sums, rowStride, stride))
        block[place] = value
      }
    }

    let (panel, rows) = (kernels.panelColumns, upper)
    for (depth, panels) in [(3, 2), (MatrixKernel.depthAtOnce + 5, 1)] {
      let columns = panels * panel
      let (leftStride, stride) = (depth + 2, columns + 3)
      let (left, weights, bias) = (values(rows * leftStride), values(depth * columns), values(columns))
      let (initial, residual, other) = (values(rows * stride), values(rows * stride), values(rows * stride))
      for (hasInitial, hasResidual, hasBeside) in [
        (false, false, false), (true, false, true), (true, true, true),
      ] {
        var (target, beside) = (residual, other)
        left.withUnsafeBufferPointer { left in
          weights.withUnsafeBufferPointer { weights in
            bias.withUnsafeBufferPointer { bias in
              initial.withUnsafeBufferPointer { initial in
                target.withUnsafeMutableBufferPointer { target in
                  beside.withUnsafeMutableBufferPointer { beside in
                    // The residual lies where the result goes.
                    let product = StrassenProduct(
                      left: left.baseAddress!, leftStride: leftStride, rows: rows, depth: depth,
                      weights: weights.baseAddress!, columns: columns,
                      beside: hasBeside ? beside.baseAddress : nil,
                      initial: hasInitial ? initial.baseAddress : nil,
                      residual: hasResidual ? ConstantFloats(target.baseAddress!) : nil,
                      bias: hasResidual ? bias.baseAddress : nil, bounds: hasResidual ? .relu : .none,
                      target: target.baseAddress!, stride: stride, following: weights.baseAddress!)
                    withUnsafePointer(to: product) { kernels.strassenMultiply($0) }
                  }
                }
              }
            }
          }
        }
        let product = target.indices.map { index -> Double in
          let (row, column) = (index / stride, index % stride)
          guard column < columns else { return 0 }
          return (0..<depth).reduce(0) {
            $0 + Double(left[row * leftStride + $1])
              * Double(weights[(column / panel * depth + $1) * panel + column % panel])
          }
        }
        let expected = target.indices.map { index -> Float in
          guard index % stride < columns else { return residual[index] }
          var sum = product[index] + Double(hasInitial ? initial[index] : 0)
          if hasResidual { sum += Double(residual[index]) + Double(bias[index % stride]) }
          return hasResidual ? Float(max(0, sum)) : Float(sum)
        }
        let what = "product of \(rows) × \(depth) and \(depth) × \(columns), added to two"
        check(target, expected, kernels, what, tolerance: 3e-6)
        check(
          beside, other.indices.map { other[$0] + (hasBeside ? Float(product[$0]) : 0) }, kernels, what,
          tolerance: 3e-6)
      }
    }
  }

  /// Rows of every width around the four pixels that are computed at once, with windows that begin before the
  /// image, end behind it, span it, or lie beside it.
  @Test(arguments: VectorKernels.available.indices, counts) func depthwiseRows(
    _ instructions: Int, _ channels: Int
  ) {
    let kernels = VectorKernels.available[instructions]
    var random = SplitMix64(state: UInt64(channels))
    func values(_ count: Int) -> [Float] { (0..<count).map { _ in Float(random.normal()) } }
    for (inWidth, kernel, stride, padding, dilation) in [
      (1, 1, 1, 0, 1), (1, 3, 1, 1, 1), (4, 3, 1, 1, 1), (11, 3, 1, 1, 1), (11, 3, 2, 1, 1), (12, 3, 2, 0, 1),
      (20, 5, 1, 2, 1), (9, 2, 1, 0, 1), (9, 3, 1, 2, 2), (5, 3, 3, 4, 1), (3, 7, 1, 3, 1), (2, 3, 1, 6, 3),
    ] {
      let outWidth = (inWidth + 2 * padding - dilation * (kernel - 1) - 1) / stride + 1
      for windowRows in [0, 1, 3] {
        let sourceStride = inWidth * channels + 5
        let source = values(max(1, windowRows) * sourceStride)
        let (weights, bias) = (values(max(1, windowRows) * kernel * channels), values(channels))
        let added = values(outWidth * channels)
        for (residual, bounds) in zip([nil, added, nil], KernelTests.bounds) {
          var target = [Float](repeating: .nan, count: outWidth * channels)
          source.withUnsafeBufferPointer { source in
            weights.withUnsafeBufferPointer { weights in
              bias.withUnsafeBufferPointer { bias in
                added.withUnsafeBufferPointer { added in
                  target.withUnsafeMutableBufferPointer { target in
                    let row = DepthwiseRow(
                      source: source.baseAddress!, sourceStride: sourceStride, windowRows: windowRows,
                      inWidth: inWidth, outWidth: outWidth, channels: channels, kernel: kernel,
                      stride: stride,
                      padding: padding, dilation: dilation, weights: weights.baseAddress!,
                      bias: bias.baseAddress!, residual: residual == nil ? nil : added.baseAddress!,
                      bounds: bounds, target: target.baseAddress!)
                    withUnsafePointer(to: row) { kernels.depthwise($0) }
                  }
                }
              }
            }
          }
          let expected = target.indices.map { index -> Float in
            let (x, channel) = index.quotientAndRemainder(dividingBy: channels)
            var sum = Double(bias[channel]) + Double(residual?[index] ?? 0)
            for row in 0..<windowRows {
              for element in 0..<kernel {
                let place = x * stride + element * dilation - padding
                guard 0..<inWidth ~= place else { continue }
                sum +=
                  Double(source[row * sourceStride + place * channels + channel])
                  * Double(weights[(row * kernel + element) * channels + channel])
              }
            }
            return limited(Float(sum), bounds)
          }
          check(
            target, expected, kernels,
            "depthwise row of \(inWidth) pixels, \(windowRows) × \(kernel), stride \(stride), "
              + "padding \(padding), dilation \(dilation)")
        }
      }
    }
  }

  /// Weights that are bfloat16 stay that, and what they would be multiplied by is a factor of the result.
  @Test(arguments: VectorKernels.available.indices) func matrixProductOfBFloat16(_ instructions: Int) {
    let kernels = VectorKernels.available[instructions]
    let (panel, half) = (kernels.panelColumns, kernels.panelColumns / 2)
    var random = SplitMix64(state: 6)
    func values(_ count: Int) -> [Float] { (0..<count).map { _ in Float(random.normal()) } }
    let deep = MatrixKernel.depthAtOnce + 3
    for (rows, depth, columns) in [(1, 1, 1), (7, 5, panel), (13, 31, 2 * panel + 3), (8, deep, panel + 1)] {
      let left = values(rows * depth)
      let weights = values(depth * columns).map { Float(bitPattern: $0.bitPattern & 0xFFFF_0000) }
      let (scale, bias, residual) = (values(columns), values(columns), values(rows * columns))
      var packed = [UInt32](repeating: 0, count: (columns + panel - 1) / panel * half * depth)
      for k in 0..<depth {
        for column in 0..<columns {
          let word = (column / panel * depth + k) * half + column % panel % half
          let bits = weights[k * columns + column].bitPattern
          packed[word] |= column % panel < half ? bits >> 16 : bits
        }
      }
      var target = residual
      packed.withUnsafeBytes { bytes in
        target.withUnsafeMutableBufferPointer { target in
          guard let words = bytes.bindMemory(to: Float.self).baseAddress, let start = target.baseAddress
          else { return }
          kernels.multiplyBFloat16(
            left, depth, rows, depth, words, columns, scale, bias, start, .relu, start, columns, words)
        }
      }
      let expected = target.indices.map { index -> Float in
        let (row, column) = (index / columns, index % columns)
        let sum = (0..<depth).reduce(0.0) {
          $0 + Double(left[row * depth + $1]) * Double(weights[$1 * columns + column])
        }
        return max(
          0, Float(sum * Double(scale[column]) + Double(bias[column]) + Double(residual[index])))
      }
      check(target, expected, kernels, "bfloat16, \(rows) × \(depth) × \(columns)", tolerance: 3e-6)
    }
  }

  /// Rows that overlap, each of which lies in three segments.
  @Test(arguments: VectorKernels.available.indices) func matrixProductOfSegments(_ instructions: Int) {
    let kernels = VectorKernels.available[instructions]
    let (panel, columns, rows, segments, segmentStride, leftStride) = (kernels.panelColumns, 21, 17, 3, 90, 4)
    var random = SplitMix64(state: 5)
    func values(_ count: Int) -> [Float] { (0..<count).map { _ in Float(random.normal()) } }
    for depth in [1, 7, 18] {
      let (left, weights) = (values(segments * segmentStride), values(segments * depth * columns))
      var packed = [Float](
        repeating: .nan, count: (columns + panel - 1) / panel * panel * segments * depth)
      for k in 0..<segments * depth {
        for column in 0..<columns {
          packed[(column / panel * segments * depth + k) * panel + column % panel] =
            weights[k * columns + column]
        }
      }
      var target = [Float](repeating: .nan, count: rows * columns)
      kernels.multiplySegments(
        left, leftStride, rows, depth, segments, segmentStride, packed, columns, nil, nil, .none, &target,
        columns, packed)
      let expected = target.indices.map { index -> Float in
        let (row, column) = (index / columns, index % columns)
        let sum = (0..<segments * depth).reduce(0.0) {
          $0 + Double(left[row * leftStride + $1 / depth * segmentStride + $1 % depth])
            * Double(weights[$1 * columns + column])
        }
        return Float(sum)
      }
      check(target, expected, kernels, "segments of \(depth)", tolerance: 3e-6)
    }
  }

  @Test(arguments: VectorKernels.available.indices) func notANumberStays(_ instructions: Int) {
    let kernels = VectorKernels.available[instructions]
    let values = (0..<40).map { $0 % 3 == 0 ? Float.nan : -1 }
    let isNaN = values.map(\.isNaN)
    var raised = values
    kernels.limit(values, values.count, .relu6, &raised)
    #expect(raised.map(\.isNaN) == isNaN, "\(kernels.name), limit")
    var largest = [Float](repeating: 0, count: 20)
    kernels.maximum(values, 1, 2, 40, 20, &largest)
    #expect(
      (0..<20).allSatisfy { largest[$0].isNaN == (isNaN[$0] || isNaN[$0 + 20]) }, "\(kernels.name), maximum")
  }
}
