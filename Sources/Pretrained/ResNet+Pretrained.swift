// The family with published weights, called as in torchvision.models.

public import Inference
public import ResNets

extension Model where Root == ResidualNetwork {
  /// A network with published weights, from PyTorch's cache or downloaded to it.
  ///
  /// ```swift
  /// let model = try ResNet(pretrained: .named("resnet50d:ra2_in1k"))
  /// ```
  ///
  /// It returns when the model is ready: call it from a task of its own where something else must go on. When that
  /// task is cancelled, so is the download.
  ///
  /// - Parameters:
  ///   - published: which weights; their network is built.
  ///   - classes: how many classes the model is to have, where they are not those of the weights; `fc` has
  ///     initial values then.
  ///   - cache: where the file is looked for, and downloaded to.
  ///   - progress: called as the download goes on, not when the file is there.
  /// - Throws: ``FetchError`` when the file can't be had or is not what it should be, `CheckpointError` when it
  ///   can't be read.
  public init(
    pretrained published: PublishedWeights, classes: Int? = nil, cache: WeightsCache = WeightsCache(),
    progress: DownloadProgress.Handler? = nil
  ) throws {
    guard var architecture = Architecture(named: published.network) else {
      throw FetchError(.noSuchWeights, "there is no network \"\(published.network)\".")
    }
    let file = try cache.file(of: published, progress: progress)
    let stateDict = try Checkpoint(path: file).resNetStateDict()
    let isOther = classes != nil && classes != architecture.classes
    if let classes { architecture.classes = classes }
    self.init(architecture)
    do {
      try load(stateDict, ignoring: isOther ? .head : [])
    } catch {
      let report = error.report
      throw FetchError(
        .wrongContent,
        "\(printable(file)) does not hold the weights of \(published.network) (\(report.missing.count) missing, \(report.unexpected.count) unexpected, \(report.mismatched.count) mismatched keys): remove it, and it is downloaded again."
      )
    }
  }

  /// ResNet-18, arXiv 1512.03385, with published weights: see ``init(pretrained:classes:cache:progress:)``.
  public static func resnet18(
    pretrained weights: PretrainedWeights, classes: Int? = nil, cache: WeightsCache = WeightsCache(),
    progress: DownloadProgress.Handler? = nil
  ) throws -> ResNet {
    try ResNet(pretrained: .of("resnet18", weights), classes: classes, cache: cache, progress: progress)
  }

  /// ResNet-34, arXiv 1512.03385, with published weights: see ``init(pretrained:classes:cache:progress:)``.
  public static func resnet34(
    pretrained weights: PretrainedWeights, classes: Int? = nil, cache: WeightsCache = WeightsCache(),
    progress: DownloadProgress.Handler? = nil
  ) throws -> ResNet {
    try ResNet(pretrained: .of("resnet34", weights), classes: classes, cache: cache, progress: progress)
  }

  /// ResNet-50, arXiv 1512.03385, with published weights: see ``init(pretrained:classes:cache:progress:)``.
  public static func resnet50(
    pretrained weights: PretrainedWeights, classes: Int? = nil, cache: WeightsCache = WeightsCache(),
    progress: DownloadProgress.Handler? = nil
  ) throws -> ResNet {
    try ResNet(pretrained: .of("resnet50", weights), classes: classes, cache: cache, progress: progress)
  }

  /// ResNet-101, arXiv 1512.03385, with published weights: see ``init(pretrained:classes:cache:progress:)``.
  public static func resnet101(
    pretrained weights: PretrainedWeights, classes: Int? = nil, cache: WeightsCache = WeightsCache(),
    progress: DownloadProgress.Handler? = nil
  ) throws -> ResNet {
    try ResNet(pretrained: .of("resnet101", weights), classes: classes, cache: cache, progress: progress)
  }

  /// ResNet-152, arXiv 1512.03385, with published weights: see ``init(pretrained:classes:cache:progress:)``.
  public static func resnet152(
    pretrained weights: PretrainedWeights, classes: Int? = nil, cache: WeightsCache = WeightsCache(),
    progress: DownloadProgress.Handler? = nil
  ) throws -> ResNet {
    try ResNet(pretrained: .of("resnet152", weights), classes: classes, cache: cache, progress: progress)
  }

  /// ResNeXt-50 32x4d, arXiv 1611.05431, with published weights: see ``init(pretrained:classes:cache:progress:)``.
  public static func resnext50_32x4d(
    pretrained weights: PretrainedWeights, classes: Int? = nil, cache: WeightsCache = WeightsCache(),
    progress: DownloadProgress.Handler? = nil
  ) throws -> ResNet {
    try ResNet(
      pretrained: .of("resnext50_32x4d", weights), classes: classes, cache: cache, progress: progress)
  }

  /// ResNeXt-101 32x8d, arXiv 1611.05431, with published weights: see ``init(pretrained:classes:cache:progress:)``.
  public static func resnext101_32x8d(
    pretrained weights: PretrainedWeights, classes: Int? = nil, cache: WeightsCache = WeightsCache(),
    progress: DownloadProgress.Handler? = nil
  ) throws -> ResNet {
    try ResNet(
      pretrained: .of("resnext101_32x8d", weights), classes: classes, cache: cache, progress: progress)
  }

  /// ResNeXt-101 64x4d, arXiv 1611.05431, with published weights: see ``init(pretrained:classes:cache:progress:)``.
  public static func resnext101_64x4d(
    pretrained weights: PretrainedWeights, classes: Int? = nil, cache: WeightsCache = WeightsCache(),
    progress: DownloadProgress.Handler? = nil
  ) throws -> ResNet {
    try ResNet(
      pretrained: .of("resnext101_64x4d", weights), classes: classes, cache: cache, progress: progress)
  }

  /// Wide ResNet-50-2, arXiv 1605.07146, with published weights: see ``init(pretrained:classes:cache:progress:)``.
  public static func wide_resnet50_2(
    pretrained weights: PretrainedWeights, classes: Int? = nil, cache: WeightsCache = WeightsCache(),
    progress: DownloadProgress.Handler? = nil
  ) throws -> ResNet {
    try ResNet(
      pretrained: .of("wide_resnet50_2", weights), classes: classes, cache: cache, progress: progress)
  }

  /// Wide ResNet-101-2, arXiv 1605.07146, with published weights: see ``init(pretrained:classes:cache:progress:)``.
  public static func wide_resnet101_2(
    pretrained weights: PretrainedWeights, classes: Int? = nil, cache: WeightsCache = WeightsCache(),
    progress: DownloadProgress.Handler? = nil
  ) throws -> ResNet {
    try ResNet(
      pretrained: .of("wide_resnet101_2", weights), classes: classes, cache: cache, progress: progress)
  }
}
