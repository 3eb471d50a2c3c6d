// The published weights: one table, one row a file. The first row of a network is what its plain name means.
//
// Files, sizes and accuracies of torchvision's are those of its 0.29 (`_metrics` and `_file_size` of each weights'
// `meta`, measured on single crops); the others' files are those of timm 1.0.31, which publishes no accuracies
// with them. tools/compare_published.py compares this table with both packages.

private let pytorch = "https://download.pytorch.org/models/"
private let timm = "https://github.com/huggingface/pytorch-image-models/releases/download/"
private let gluon = "https://github.com/rwightman/pytorch-pretrained-gluonresnet/releases/download/v0.1/"
private let facebook = "https://dl.fbaipublicfiles.com/semiweaksupervision/model_files/"
private let akamaster = "https://github.com/akamaster/pytorch_resnet_cifar10/raw/master/pretrained_models/"

extension PublishedWeights {
  /// Every file of published weights that is known.
  public static let all: [PublishedWeights] = torchvision + others + cifar

  private static let torchvision = [
    row("resnet18", .imageNetV1, pytorch + "resnet18-f37072fd.pth", mebibytes: 44.661, 69.758, 89.078),
    row("resnet34", .imageNetV1, pytorch + "resnet34-b627a593.pth", mebibytes: 83.275, 73.314, 91.42),
    row("resnet50", .imageNetV2, pytorch + "resnet50-11ad3fa6.pth", mebibytes: 97.79, 80.858, 95.434),
    row("resnet50", .imageNetV1, pytorch + "resnet50-0676ba61.pth", mebibytes: 97.781, 76.13, 92.862),
    row("resnet101", .imageNetV2, pytorch + "resnet101-cd907fc2.pth", mebibytes: 170.53, 81.886, 95.78),
    row("resnet101", .imageNetV1, pytorch + "resnet101-63fe2227.pth", mebibytes: 170.511, 77.374, 93.546),
    row("resnet152", .imageNetV2, pytorch + "resnet152-f82ba261.pth", mebibytes: 230.474, 82.284, 96.002),
    row("resnet152", .imageNetV1, pytorch + "resnet152-394f9c45.pth", mebibytes: 230.434, 78.312, 94.046),
    row(
      "resnext50_32x4d", .imageNetV2, pytorch + "resnext50_32x4d-1a0047aa.pth", mebibytes: 95.833, 81.198,
      95.34),
    row(
      "resnext50_32x4d", .imageNetV1, pytorch + "resnext50_32x4d-7cdf4587.pth", mebibytes: 95.789, 77.618,
      93.698),
    row(
      "resnext101_32x8d", .imageNetV2, pytorch + "resnext101_32x8d-110c445d.pth", mebibytes: 339.673, 82.834,
      96.228),
    row(
      "resnext101_32x8d", .imageNetV1, pytorch + "resnext101_32x8d-8ba56ff5.pth", mebibytes: 339.586, 79.312,
      94.526),
    row(
      "resnext101_64x4d", .imageNetV1, pytorch + "resnext101_64x4d-173b62eb.pth", mebibytes: 319.318, 83.246,
      96.454),
    row(
      "wide_resnet50_2", .imageNetV2, pytorch + "wide_resnet50_2-9ba9bcbe.pth", mebibytes: 263.124, 81.602,
      95.758),
    row(
      "wide_resnet50_2", .imageNetV1, pytorch + "wide_resnet50_2-95faca4d.pth", mebibytes: 131.82, 78.468,
      94.086),
    row(
      "wide_resnet101_2", .imageNetV2, pytorch + "wide_resnet101_2-d733dc28.pth", mebibytes: 484.747, 82.51,
      96.02),
    row(
      "wide_resnet101_2", .imageNetV1, pytorch + "wide_resnet101_2-32ee1156.pth", mebibytes: 242.896, 78.848,
      94.284),
  ]

  // timm's, by timm's tags: who trained them, how and on what
  private static let others = [
    row("resnet10t", "c3_in1k", timm + "v0.1-rsb-weights/resnet10t_176_c3-f3215ab1.pth"),
    row("resnet14t", "c3_in1k", timm + "v0.1-rsb-weights/resnet14t_176_c3-c4ed2c37.pth"),
    row("resnet18", "a1_in1k", timm + "v0.1-rsb-weights/resnet18_a1_0-d63eafa0.pth"),
    row("resnet18", "a2_in1k", timm + "v0.1-rsb-weights/resnet18_a2_0-b61bd467.pth"),
    row("resnet18", "a3_in1k", timm + "v0.1-rsb-weights/resnet18_a3_0-40c531c8.pth"),
    row("resnet18", "fb_ssl_yfcc100m_ft_in1k", facebook + "semi_supervised_resnet18-d92f0530.pth"),
    row("resnet18", "fb_swsl_ig1b_ft_in1k", facebook + "semi_weakly_supervised_resnet18-118f1556.pth"),
    row("resnet18", "gluon_in1k", gluon + "gluon_resnet18_v1b-0757602b.pth"),
    row("resnet18d", "ra2_in1k", timm + "v0.1-weights/resnet18d_ra2-48a79e06.pth"),
    row("resnet34", "a1_in1k", timm + "v0.1-rsb-weights/resnet34_a1_0-46f8f793.pth"),
    row("resnet34", "a2_in1k", timm + "v0.1-rsb-weights/resnet34_a2_0-82d47d71.pth"),
    row("resnet34", "a3_in1k", timm + "v0.1-rsb-weights/resnet34_a3_0-a20cabb6.pth"),
    row("resnet34", "bt_in1k", timm + "v0.1-weights/resnet34-43635321.pth"),
    row("resnet34", "gluon_in1k", gluon + "gluon_resnet34_v1b-c6d82d59.pth"),
    row("resnet34d", "ra2_in1k", timm + "v0.1-weights/resnet34d_ra2-f8dcfcaf.pth"),
    row("resnet26", "bt_in1k", timm + "v0.1-weights/resnet26-9aa10e23.pth"),
    row("resnet26t", "ra2_in1k", timm + "v0.1-attn-weights/resnet26t_256_ra2-6f6fa748.pth"),
    row("resnet26d", "bt_in1k", timm + "v0.1-weights/resnet26d-69e92c46.pth"),
    row("resnet50", "a1_in1k", timm + "v0.1-rsb-weights/resnet50_a1_0-14fe96d1.pth"),
    row("resnet50", "a1h_in1k", timm + "v0.1-rsb-weights/resnet50_a1h2_176-001a1197.pth"),
    row("resnet50", "a2_in1k", timm + "v0.1-rsb-weights/resnet50_a2_0-a2746f79.pth"),
    row("resnet50", "a3_in1k", timm + "v0.1-rsb-weights/resnet50_a3_0-59cae1ef.pth"),
    row("resnet50", "b1k_in1k", timm + "v0.1-rsb-weights/resnet50_b1k-532a802a.pth"),
    row("resnet50", "b2k_in1k", timm + "v0.1-rsb-weights/resnet50_b2k-1ba180c1.pth"),
    row("resnet50", "c1_in1k", timm + "v0.1-rsb-weights/resnet50_c1-5ba5e060.pth"),
    row("resnet50", "c2_in1k", timm + "v0.1-rsb-weights/resnet50_c2-d01e05b2.pth"),
    row("resnet50", "d_in1k", timm + "v0.1-rsb-weights/resnet50_d-f39db8af.pth"),
    row("resnet50", "ram_in1k", timm + "v0.1-weights/resnet50_ram-a26f946b.pth"),
    row("resnet50", "am_in1k", timm + "v0.1-weights/resnet50_am-6c502b37.pth"),
    row("resnet50", "ra_in1k", timm + "v0.1-weights/resnet50_ra-85ebb6e5.pth"),
    row("resnet50", "bt_in1k", timm + "v0.1-weights/rw_resnet50-86acaeed.pth"),
    row("resnet50", "fb_ssl_yfcc100m_ft_in1k", facebook + "semi_supervised_resnet50-08389792.pth"),
    row("resnet50", "fb_swsl_ig1b_ft_in1k", facebook + "semi_weakly_supervised_resnet50-16a12f1b.pth"),
    row("resnet50", "gluon_in1k", gluon + "gluon_resnet50_v1b-0ebe02e2.pth"),
    row("resnet50c", "gluon_in1k", gluon + "gluon_resnet50_v1c-48092f55.pth"),
    row("resnet50d", "ra2_in1k", timm + "v0.1-weights/resnet50d_ra2-464e36ba.pth"),
    row("resnet50d", "a1_in1k", timm + "v0.1-rsb-weights/resnet50d_a1_0-e20cff14.pth"),
    row("resnet50d", "a2_in1k", timm + "v0.1-rsb-weights/resnet50d_a2_0-a3adc64d.pth"),
    row("resnet50d", "a3_in1k", timm + "v0.1-rsb-weights/resnet50d_a3_0-403fdfad.pth"),
    row("resnet50d", "gluon_in1k", gluon + "gluon_resnet50_v1d-818a1b1b.pth"),
    row("resnet50s", "gluon_in1k", gluon + "gluon_resnet50_v1s-1762acc0.pth"),
    row("resnet101", "a1h_in1k", timm + "v0.1-rsb-weights/resnet101_a1h-36d3f2aa.pth"),
    row("resnet101", "a1_in1k", timm + "v0.1-rsb-weights/resnet101_a1_0-cdcb52a9.pth"),
    row("resnet101", "a2_in1k", timm + "v0.1-rsb-weights/resnet101_a2_0-6edb36c7.pth"),
    row("resnet101", "a3_in1k", timm + "v0.1-rsb-weights/resnet101_a3_0-1db14157.pth"),
    row("resnet101", "gluon_in1k", gluon + "gluon_resnet101_v1b-3b017079.pth"),
    row("resnet101c", "gluon_in1k", gluon + "gluon_resnet101_v1c-1f26822a.pth"),
    row("resnet101d", "ra2_in1k", timm + "v0.1-weights/resnet101d_ra2-2803ffab.pth"),
    row("resnet101d", "gluon_in1k", gluon + "gluon_resnet101_v1d-0f9c8644.pth"),
    row("resnet101s", "gluon_in1k", gluon + "gluon_resnet101_v1s-60fe0cc1.pth"),
    row("resnet152", "a1h_in1k", timm + "v0.1-rsb-weights/resnet152_a1h-dc400468.pth"),
    row("resnet152", "a1_in1k", timm + "v0.1-rsb-weights/resnet152_a1_0-2eee8a7a.pth"),
    row("resnet152", "a2_in1k", timm + "v0.1-rsb-weights/resnet152_a2_0-b4c6978f.pth"),
    row("resnet152", "a3_in1k", timm + "v0.1-rsb-weights/resnet152_a3_0-134d4688.pth"),
    row("resnet152", "gluon_in1k", gluon + "gluon_resnet152_v1b-c1edb0dd.pth"),
    row("resnet152c", "gluon_in1k", gluon + "gluon_resnet152_v1c-a3bb0b98.pth"),
    row("resnet152d", "ra2_in1k", timm + "v0.1-weights/resnet152d_ra2-5cac0439.pth"),
    row("resnet152d", "gluon_in1k", gluon + "gluon_resnet152_v1d-bd354e12.pth"),
    row("resnet152s", "gluon_in1k", gluon + "gluon_resnet152_v1s-dcc41b81.pth"),
    row("resnet200d", "ra2_in1k", timm + "v0.1-weights/resnet200d_ra2-bdba9bf9.pth"),
    row("wide_resnet50_2", "racm_in1k", timm + "v0.1-weights/wide_resnet50_racm-8234f177.pth"),
    row("resnet50_gn", "a1h_in1k", timm + "v0.1-rsb-weights/resnet50_gn_a1h2-8fe6c4d0.pth"),
    row("resnext50_32x4d", "a1h_in1k", timm + "v0.1-rsb-weights/resnext50_32x4d_a1h-0146ab0a.pth"),
    row("resnext50_32x4d", "a1_in1k", timm + "v0.1-rsb-weights/resnext50_32x4d_a1_0-b5a91a1d.pth"),
    row("resnext50_32x4d", "a2_in1k", timm + "v0.1-rsb-weights/resnext50_32x4d_a2_0-efc76add.pth"),
    row("resnext50_32x4d", "a3_in1k", timm + "v0.1-rsb-weights/resnext50_32x4d_a3_0-3e450271.pth"),
    row("resnext50_32x4d", "ra_in1k", timm + "v0.1-weights/resnext50_32x4d_ra-d733960d.pth"),
    row(
      "resnext50_32x4d", "fb_ssl_yfcc100m_ft_in1k", facebook + "semi_supervised_resnext50_32x4-ddb3e555.pth"),
    row(
      "resnext50_32x4d", "fb_swsl_ig1b_ft_in1k",
      facebook + "semi_weakly_supervised_resnext50_32x4-72679e44.pth"),
    row("resnext50_32x4d", "gluon_in1k", gluon + "gluon_resnext50_32x4d-e6a097c1.pth"),
    row("resnext50d_32x4d", "bt_in1k", timm + "v0.1-weights/resnext50d_32x4d-103e99f8.pth"),
    row(
      "resnext101_32x4d", "fb_ssl_yfcc100m_ft_in1k", facebook + "semi_supervised_resnext101_32x4-dc43570a.pth"
    ),
    row(
      "resnext101_32x4d", "fb_swsl_ig1b_ft_in1k",
      facebook + "semi_weakly_supervised_resnext101_32x4-3f87e46b.pth"),
    row("resnext101_32x4d", "gluon_in1k", gluon + "gluon_resnext101_32x4d-b253c8c4.pth"),
    row("resnext101_32x8d", "fb_wsl_ig1b_ft_in1k", pytorch + "ig_resnext101_32x8-c38310e5.pth"),
    row(
      "resnext101_32x8d", "fb_ssl_yfcc100m_ft_in1k", facebook + "semi_supervised_resnext101_32x8-2cfe2f8b.pth"
    ),
    row(
      "resnext101_32x8d", "fb_swsl_ig1b_ft_in1k",
      facebook + "semi_weakly_supervised_resnext101_32x8-b4712904.pth"),
    row("resnext101_32x16d", "fb_wsl_ig1b_ft_in1k", pytorch + "ig_resnext101_32x16-c6f796b0.pth"),
    row(
      "resnext101_32x16d", "fb_ssl_yfcc100m_ft_in1k",
      facebook + "semi_supervised_resnext101_32x16-15fffa57.pth"),
    row(
      "resnext101_32x16d", "fb_swsl_ig1b_ft_in1k",
      facebook + "semi_weakly_supervised_resnext101_32x16-f3559a9c.pth"),
    row("resnext101_32x32d", "fb_wsl_ig1b_ft_in1k", pytorch + "ig_resnext101_32x32-e4b90b00.pth"),
    row("resnext101_64x4d", "c1_in1k", timm + "v0.1-tpu-weights/resnext101_64x4d_c-0d0e0cc0.pth"),
    row("resnext101_64x4d", "gluon_in1k", gluon + "gluon_resnext101_64x4d-f9a8e184.pth"),
    row("ecaresnet26t", "ra2_in1k", timm + "v0.1-weights/ecaresnet26t_ra2-46609757.pth"),
    row("ecaresnet50d", "miil_in1k", timm + "v0.1-tresnet/ecaresnet50d-93c81e3b.pth"),
    row("ecaresnet50d_pruned", "miil_in1k", timm + "v0.1-tresnet/ecaresnet50d_p-e4fa23c2.pth"),
    row("ecaresnet50t", "ra2_in1k", timm + "v0.1-weights/ecaresnet50t_ra2-f7ac63c4.pth"),
    row("ecaresnet50t", "a1_in1k", timm + "v0.1-rsb-weights/ecaresnet50t_a1_0-99bd76a8.pth"),
    row("ecaresnet50t", "a2_in1k", timm + "v0.1-rsb-weights/ecaresnet50t_a2_0-b1c7b745.pth"),
    row("ecaresnet50t", "a3_in1k", timm + "v0.1-rsb-weights/ecaresnet50t_a3_0-8cc311f1.pth"),
    row("ecaresnetlight", "miil_in1k", timm + "v0.1-tresnet/ecaresnetlight-75a9c627.pth"),
    row("ecaresnet101d", "miil_in1k", timm + "v0.1-tresnet/ecaresnet101d-153dad65.pth"),
    row("ecaresnet101d_pruned", "miil_in1k", timm + "v0.1-tresnet/ecaresnet101d_p-9e74cb91.pth"),
    row("ecaresnet269d", "ra2_in1k", timm + "v0.1-weights/ecaresnet269d_320_ra2-7baa55cb.pth"),
    row("seresnet50", "a1_in1k", timm + "v0.1-rsb-weights/seresnet50_a1_0-ffa00869.pth"),
    row("seresnet50", "a2_in1k", timm + "v0.1-rsb-weights/seresnet50_a2_0-850de0d9.pth"),
    row("seresnet50", "a3_in1k", timm + "v0.1-rsb-weights/seresnet50_a3_0-317ecd56.pth"),
    row("seresnet50", "ra2_in1k", timm + "v0.1-weights/seresnet50_ra_224-8efdb4bb.pth"),
    row("seresnet152d", "ra2_in1k", timm + "v0.1-weights/seresnet152d_ra2-04464dd2.pth"),
    row("seresnext26d_32x4d", "bt_in1k", timm + "v0.1-weights/seresnext26d_32x4d-80fa48a3.pth"),
    row("seresnext26t_32x4d", "bt_in1k", timm + "v0.1-weights/seresnext26tn_32x4d-569cb627.pth"),
    row("seresnext50_32x4d", "racm_in1k", timm + "v0.1-weights/seresnext50_32x4d_racm-a304a460.pth"),
    row("seresnext50_32x4d", "gluon_in1k", gluon + "gluon_seresnext50_32x4d-90cf2d6e.pth"),
    row("seresnext101_32x4d", "gluon_in1k", gluon + "gluon_seresnext101_32x4d-cf52900d.pth"),
    row("seresnext101_32x8d", "ah_in1k", timm + "v0.1-tpu-weights/seresnext101_32x8d_ah-e6bc4c0a.pth"),
    row("seresnext101d_32x8d", "ah_in1k", timm + "v0.1-tpu-weights/seresnext101d_32x8d_ah-191d7b94.pth"),
    row("seresnext101_64x4d", "gluon_in1k", gluon + "gluon_seresnext101_64x4d-f9926f93.pth"),
    row("senet154", "gluon_in1k", gluon + "gluon_senet154-70a1a3c0.pth"),
    row("resnetblur50", "bt_in1k", timm + "v0.1-weights/resnetblur50-84f4748f.pth"),
    row("resnetaa50", "a1h_in1k", timm + "v0.1-rsb-weights/resnetaa50_a1h-4cf422b3.pth"),
    row("seresnextaa101d_32x8d", "ah_in1k", timm + "v0.1-tpu-weights/seresnextaa101d_32x8d_ah-83c8ae12.pth"),
    row("resnetrs50", "tf_in1k", timm + "v0.1-rs-weights/resnetrs50_ema-6b53758b.pth"),
    row("resnetrs101", "tf_in1k", timm + "v0.1-rs-weights/resnetrs101_i192_ema-1509bbf6.pth"),
    row("resnetrs152", "tf_in1k", timm + "v0.1-rs-weights/resnetrs152_i256_ema-a9aff7f9.pth"),
    row("resnetrs200", "tf_in1k", timm + "v0.1-tpu-weights/resnetrs200_c-6b698b88.pth"),
    row("resnetrs270", "tf_in1k", timm + "v0.1-rs-weights/resnetrs270_ema-b40e674c.pth"),
    row("resnetrs350", "tf_in1k", timm + "v0.1-rs-weights/resnetrs350_i256_ema-5a1aa8f1.pth"),
    row("resnetrs420", "tf_in1k", timm + "v0.1-rs-weights/resnetrs420_ema-972dee69.pth"),
  ]

  // Yerlan Idelbayev's, for the CIFAR ResNets of arXiv 1512.03385, section 4.2, and CIFAR-10
  private static let cifar = [
    row("cifar_resnet20", "cifar10", akamaster + "resnet20-12fca82f.th", 91.73),
    row("cifar_resnet32", "cifar10", akamaster + "resnet32-d509ac18.th", 92.63),
    row("cifar_resnet44", "cifar10", akamaster + "resnet44-014dd654.th", 93.10),
    row("cifar_resnet56", "cifar10", akamaster + "resnet56-4bfd9763.th", 93.39),
    row("cifar_resnet110", "cifar10", akamaster + "resnet110-1d1ed7c2.th", 93.68),
    row("cifar_resnet1202", "cifar10", akamaster + "resnet1202-f3b1deed.th"),
  ]

  private static func row(
    _ network: String, _ weights: PretrainedWeights, _ url: String, mebibytes: Double, _ top1: Double,
    _ top5: Double
  ) -> PublishedWeights {
    let byteCount = Int((mebibytes * 1_048_576).rounded())
    return PublishedWeights(network, weights, url, byteCount: byteCount, top1: top1, top5: top5)
  }

  private static func row(_ network: String, _ tag: String, _ url: String, _ top1: Double? = nil)
    -> PublishedWeights
  {
    PublishedWeights(network, PretrainedWeights(tag), url, top1: top1)
  }
}
