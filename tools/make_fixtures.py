"""Rewrites everything under Fixtures/, with the same bytes each time on one kind of CPU, or only some of it.

    tools/python tools/make_fixtures.py ['dialects/keras/*' ...]     only files that one of the patterns fits

Fixtures/models   narrow ResNets with inputs, logits and activations
Fixtures/reading  checkpoints that must be read, each with a JSON file of what they hold
Fixtures/bad      files that must be refused, or that do harm when they are trusted
Fixtures/digits   a narrow ResNet-18 trained on scikit-learn's handwritten digits
Fixtures/dialects narrow ResNets as other projects write them, under names of their own
Fixtures/photos   small images of every kind, with the pixels that Pillow makes of them

Every checkpoint in Fixtures/reading is read back, by torch.load wherever torch can, and compared
with its JSON file before anything is written. Nothing in Fixtures/bad is ever loaded. The cases
are in tools/fixtures/.
"""

import argparse
import fnmatch
import hashlib
import json
import os
import platform
import shutil
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import PIL
import sklearn
import torch

import torchvision_models
from fixtures.dialects import make_dialects
from fixtures.digits import make_digits
from fixtures.models import make_models
from fixtures.photos import make_photos
from fixtures.registry import SEED
from fixtures.writing import make_bad, make_reading

FIXTURES = Path(__file__).resolve().parent.parent / "Fixtures"


def write_manifest(root, files):
    """Lists every file with its checksum, what it takes to make it again, and what it must give."""
    head = {
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "torchvision": torchvision_models.VERSION,
            "numpy": np.__version__,
            "pillow": PIL.__version__,
            "sklearn": sklearn.__version__,
        },
        "seed": SEED,
    }
    lines = []
    for path in sorted(files):
        digest = hashlib.sha256((root / path).read_bytes()).hexdigest()
        file = {"path": path, "sha256": digest, **files[path]}
        lines.append(json.dumps(file, ensure_ascii=False, separators=(",", ":")))
    # One line for each file, so that one changed fixture is one changed line
    text = json.dumps(head, indent=1).removesuffix("\n}") + ',\n "files": [\n'
    (root / "manifest.json").write_text(text + ",\n".join(lines) + "\n ]\n}\n")


def make_all(root):
    files = {}
    for folder, make in (
        ("models", make_models),
        ("reading", make_reading),
        ("bad", make_bad),
        ("digits", make_digits),
        ("dialects", make_dialects),
        ("photos", make_photos),
    ):
        (root / folder).mkdir()
        make(root / folder, files)
    write_manifest(root, files)


def keep_others(root, patterns):
    """Puts today's fixtures in place of those in `root` that none of `patterns` fits."""
    new = json.loads((root / "manifest.json").read_text())
    old = json.loads((FIXTURES / "manifest.json").read_text())

    def is_meant(path):
        return any(fnmatch.fnmatchcase(path, pattern) for pattern in patterns)

    files = {}
    for manifest, folder, is_kept in ((old, FIXTURES, lambda path: not is_meant(path)), (new, root, is_meant)):
        for file in manifest["files"]:
            path = file.pop("path")
            if is_kept(path):
                del file["sha256"]
                files[path] = (folder / path).read_bytes(), file
    shutil.rmtree(root)
    for path, (data, _) in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)
    write_manifest(root, {path: file for path, (_, file) in files.items()})


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("patterns", nargs="*", help="paths below Fixtures/, with * and ?; all if there is none")
    patterns = parser.parse_args().patterns
    if sys.byteorder != "little":
        raise SystemExit("the fixtures are little-endian; make them on a little-endian machine")
    if os.environ.get("PYTHONHASHSEED") != "0":
        # The order of what is in a set, which goes into some of the files, depends on it.
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, *sys.argv])
    # The order of summation, and with it the last bits of a result, depends on the thread count.
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # About prototypes and deprecations, which are to be read too
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch) / "Fixtures"
        root.mkdir()
        make_all(root)
        if patterns:
            keep_others(root, patterns)
        # Replaced only now, so that a failure leaves the old fixtures in place.
        shutil.rmtree(FIXTURES, ignore_errors=True)
        shutil.copytree(root, FIXTURES)
    files = [path for path in FIXTURES.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files)
    print(f"{len(files)} files, {size / 1e6:.2f} MB in {FIXTURES}")


if __name__ == "__main__":
    main()
