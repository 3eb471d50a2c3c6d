// SHA-256 as FIPS 180-4 has it, at every length that ends a block differently, and the digits in names.

import Checkpoints
import Testing

@Suite struct SHA256Tests {
  @Test(arguments: [
    ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
    ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    (
      "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
      "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
    ),
  ])
  func theStandardsExamplesComeOut(_ text: String, _ digest: String) {
    #expect(SHA256.digest(of: Bytes(Array(text.utf8))) == digest)
  }

  @Test func aMillionLettersComeOut() {
    let digest = SHA256.digest(of: Bytes([UInt8](repeating: UInt8(ascii: "a"), count: 1_000_000)))
    #expect(digest == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0")
  }

  /// Digests of Python's hashlib.
  @Test(arguments: [
    (1, "084fed08b978af4d"), (55, "e7313d333c272e63"), (56, "4324d65f3c103567"), (63, "81c80242132f230c"),
    (64, "39e3d7b6b5d075d3"), (65, "aacca6ff74fdbb29"), (119, "9ce7368e4daf3234"), (120, "7836b787757e95e5"),
    (127, "a8d23e75d936f303"), (128, "d2742f1f4ac6bb7c"), (255, "3c8af6e366990771"),
    (256, "d9c76fa34978cb96"), (257, "b65c390e4482123a"), (319, "035b2e42beffd3ce"),
    (1_000_000, "1dc6622e2b0d38fe"),
  ])
  func everyEndOfABlockIsRight(_ count: Int, _ start: String) {
    let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 * 7 + 3) }
    #expect(SHA256.digest(of: Bytes(bytes)).prefix(16) == start)
    // Not on a boundary in memory
    #expect(SHA256.digest(of: Bytes([9] + bytes).slice(1, count) ?? Bytes([])).prefix(16) == start)
  }

  @Test(arguments: [
    ("resnet50-11ad3fa6.pth", "11ad3fa6"), ("resnet50_a1_0-14fe96d1.pth", "14fe96d1"),
    ("mnasnet0.5_top1_67.823-3ffadce67e.pth", "3ffadce67e"),
    ("a-b-0123456789abcdef.tar.gz", "0123456789abcdef"),
    ("resnet50.pth", nil), ("resnet50-1234567.pth", nil), ("resnet50-11ad3fa6", nil),
    ("resnet50-11AD3FA6.pth", nil), ("model-00001-of-00002.safetensors", nil), ("resnet50-11ad3fag.pth", nil),
  ])
  func digitsAreFoundAsTorchHubFindsThem(_ name: String, _ digits: String?) {
    #expect(SHA256.digits(inName: name) == digits)
  }
}
