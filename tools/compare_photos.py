"""Compares what rsw makes of photos with Pillow, torchvision and PyTorch.

    tools/python tools/compare_photos.py [--rsw PATH] [--random N]

Photos of every kind of JPEG and PNG file, from 10 x 10 pixels to 12 megapixels, and scikit-image's samples are prepared
by torchvision's transforms and by `rsw features --at input`: no value may differ by more than 1/255. Of a
ResNet-50, the logits may differ by 1e-3 of the largest, and `rsw classify` must name the same class.
Then many small images of random sizes are prepared, for weights of several publishers. Files that Pillow
refuses must be refused. The exit status is 1 if anything differs by more than it may.
"""

import argparse
import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import torch

import torchvision_models  # isort: skip  It makes torchvision fit to be imported.
import photo_images
from PIL import Image, ImageOps, UnidentifiedImageError
from reporting import print_table, relative_error
from torchvision import transforms
from torchvision.models._meta import _IMAGENET_CATEGORIES
from torchvision.transforms import InterpolationMode

ROOT = Path(__file__).resolve().parent.parent
SEED = 1

LARGEST_DIFFERENCE = 1 / 255
LOGITS_TOLERANCE = 1e-3

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
INCEPTION = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
# The names of weights, and how their publishers prepare images
PRESETS = {
    "resnet50-0676ba61.pth": (256, 224, "bilinear", IMAGENET),
    "resnet50-11ad3fa6.pth": (232, 224, "bilinear", IMAGENET),
    "resnet50_a1_0-14fe96d1.pth": (235, 224, "bicubic", IMAGENET),
    "resnet34.ra4_e3600_r224_in1k.pth": (248, 224, "bicubic", INCEPTION),
}

# Width and height of images of one kind each; every kind is there in 200 x 150 pixels.
SIZES = {
    "420.jpg": [(10, 10), (13, 997), (997, 13), (640, 480), (3000, 4000), (4000, 3000)],
    "444.jpg": [(224, 224), (256, 256)],
    "422.jpg": [(1000, 667)],
    "exif6.jpg": [(4032, 3024), (10, 10)],
    "exif3.jpg": [(1023, 769)],
    "progressive.jpg": [(1600, 1200)],
    "grey.jpg": [(800, 600)],
    "cmyk.jpg": [(700, 500)],
    "rgb.png": [(10, 11), (501, 333)],
    "rgba.png": [(1, 1), (300, 1)],
}


class Failure(Exception):
    """Something differs by more than it may."""


def write_photos(folder):
    files = photo_images.kinds(200, 150, SEED)
    for kind, sizes in SIZES.items():
        for width, height in sizes:
            made = one_kind(kind, width, height)
            files[f"{width}x{height}-{kind}"] = made
    files.update(photo_images.skimage_photos())
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return sorted(files)


def one_kind(kind, width, height):
    """One file of photo_images.kinds; those of large images would take long to make all."""
    if width * height < 2_000_000:
        return photo_images.kinds(width, height, width + height)[kind]
    pixels = photo_images.photo(width, height, width + height)
    exif = int(kind[4]) if kind.startswith("exif") else None
    return photo_images.jpeg(pixels, exif=exif, subsampling=2)


def random_photos(folder, count):
    """Small images of all kinds, whose sizes are no multiples of anything."""
    generator = np.random.default_rng(SEED)
    names = []
    while len(names) < count:
        width, height = (int(2 ** generator.uniform(0, 9.5)) for _ in range(2))
        for name, data in photo_images.kinds(width, height, len(names)).items():
            names.append(f"{len(names):05}-{width}x{height}-{name}")
            (folder / names[-1]).write_bytes(data)
    return names


def prepare(resize, crop, interpolation, colors):
    """torchvision's preset for classification, for photos as they are shown."""
    steps = transforms.Compose(
        [
            transforms.Resize(resize, interpolation=InterpolationMode(interpolation)),
            transforms.CenterCrop(crop),
            transforms.ToTensor(),
            transforms.Normalize(*colors),
        ]
    )
    return lambda path: steps(ImageOps.exif_transpose(Image.open(path)).convert("RGB"))


def rsw(tool, *arguments, status=0):
    done = subprocess.run([tool, *map(str, arguments)], capture_output=True, text=True, check=False)
    if done.returncode != status:
        raise Failure(f"rsw {arguments[0]} ended with {done.returncode}: {done.stderr.strip()[-500:]}")
    return done.stdout


def features(tool, model, folder, at):
    target = folder.parent / "features.npy"
    rsw(tool, "features", model, folder, "--at", at, "-o", target, "--force")
    return np.load(target)


def compare_values(tool, model, folder, names, preset):
    """Prepared images of both, and how many are equal to the bit; the largest difference of a value."""
    ours = features(tool, model, folder, "input")
    transform = prepare(*preset)
    theirs = np.stack([transform(folder / name).numpy() for name in names])
    if ours.shape != theirs.shape:
        raise Failure(f"{model.name}: prepared images have shape {ours.shape}, not {theirs.shape}")
    scale = np.array(preset[-1][1], np.float32).reshape(3, 1, 1)
    differences = np.abs((ours - theirs) * scale).reshape(len(names), -1).max(axis=1)
    equal = sum(a.tobytes() == b.tobytes() for a, b in zip(ours, theirs))
    if not differences.max() <= LARGEST_DIFFERENCE:
        bad = [f"{names[i]} by {differences[i]:.3f}" for i in np.argsort(-differences)[:10] if differences[i] > 0]
        raise Failure(f"{model.name}: images differ: {', '.join(bad)}")
    return theirs, equal, float(differences.max())


def compare_model(tool, network, model, folder, names, preset):
    """A row of the table."""
    images, equal, difference = compare_values(tool, model, folder, names, preset)
    with torch.inference_mode():
        logits = np.concatenate([network(torch.from_numpy(part)).numpy() for part in np.array_split(images, 8)])
    ours = features(tool, model, folder, "fc")
    error = max(relative_error(a, b) for a, b in zip(ours, logits))
    if not error <= LOGITS_TOLERANCE:
        raise Failure(f"{model.name}: logits are off by {error:.1e}")
    best = [_IMAGENET_CATEGORIES[index] for index in logits.argmax(axis=1)]
    lines = map(json.loads, rsw(tool, "classify", model, folder, "--top", 1).splitlines())
    for name, expected, line in zip(names, best, lines, strict=True):
        found = line["predictions"][0]["label"]
        if Path(line["image"]).name != name or found != expected:
            raise Failure(f"{model.name}: {name} is {found}, but in PyTorch {expected}")
    return model.name, str(len(names)), str(equal), f"{difference:.1e}", f"{error:.1e}", str(len(set(best)))


def check_refusals(tool, model, folder, names):
    """What Pillow can't read is an error of rsw, and what is cut off within its pixels is one of both."""
    bad = folder.parent / "bad"
    bad.mkdir()
    generator = np.random.default_rng(SEED)
    count = 0
    for name in names:
        data = (folder / name).read_bytes()
        if len(data) > 200_000:
            continue
        for part in generator.uniform(0.02, 0.98, 3):
            path = bad / f"{part:.3f}-{name}"
            path.write_bytes(data[: int(len(data) * part)])
            if is_readable(path):
                path.unlink()
            count += path.exists()
    printed = rsw(tool, "classify", model, bad, status=65)
    if printed:
        raise Failure(f"truncated files are read: {printed[:1000]}")
    return count


def is_readable(path):
    try:
        with Image.open(path) as image:
            image.convert("RGB")
        return True
    except (OSError, SyntaxError, UnidentifiedImageError):
        return False


def compare_all(tool, count, scratch):
    network = torchvision_models.randomize(torchvision_models.full_resnet("resnet50"), SEED).eval()
    small = torchvision_models.full_resnet("resnet34").eval()
    for name in PRESETS:
        torch.save((network if "resnet50" in name else small).state_dict(), scratch / name)
    photos, random = scratch / "photos", scratch / "random"
    photos.mkdir()
    random.mkdir()
    names, random_names = write_photos(photos), random_photos(random, count)
    rows = [("weights", "photos", "equal", "difference", "logits", "classes")]
    for name in list(PRESETS)[:2]:
        rows.append(compare_model(tool, network, scratch / name, photos, names, PRESETS[name]))
    for name, preset in PRESETS.items():
        _, equal, difference = compare_values(tool, scratch / name, random, random_names, preset)
        rows.append((name, str(len(random_names)), str(equal), f"{difference:.1e}", "-", "-"))
    print_table(rows)
    refused = check_refusals(tool, scratch / next(iter(PRESETS)), photos, names)
    print(f"passed: photos are prepared and classified as by PyTorch; {refused} truncated files are refused")


def main():
    parser = argparse.ArgumentParser(description="Compares what rsw makes of photos with PyTorch.")
    parser.add_argument("--rsw", type=Path, default=ROOT / "tools" / "rsw", help="the rsw tool")
    parser.add_argument("--random", type=int, default=400, help="small images of random sizes (default: 400)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        try:
            compare_all(arguments.rsw, arguments.random, Path(scratch))
        except Failure as failure:
            raise SystemExit(f"FAILED: {failure}") from None


if __name__ == "__main__":
    main()
