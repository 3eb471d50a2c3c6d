"""Opens with Python's safetensors what rsw converts from every reading fixture.

    tools/python tools/compare_safetensors.py [--rsw PATH]

Names, dtypes, shapes and bytes must be those of the fixture's .json; the exit status is 1 if any
differ.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from safetensors import safe_open

ROOT = Path(__file__).resolve().parent.parent

# Cases that convert to nothing: an ambiguous file, and dtypes that safetensors has not.
NOT_CONVERTED = {"nested-two", "dtypes"}


def raw_bytes(tensor):
    """The tensor's elements as they lie in memory."""
    return tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def differences(expected, converted):
    """What differs between a fixture's expectation and the file that rsw wrote, a line each."""
    prefix = expected.get("prefix") or ""
    wanted = {tensor["name"].removeprefix(prefix): tensor for tensor in expected["tensors"]}
    with safe_open(converted, framework="pt") as file:
        names = set(file.keys())
        for name in sorted(names ^ set(wanted)):
            yield f"{name} is in one of both only"
        for name in sorted(names & set(wanted)):
            tensor, want = file.get_tensor(name), wanted[name]
            if str(tensor.dtype) != "torch." + want["dtype"] or list(tensor.shape) != want["shape"]:
                yield f"{name} is {tensor.dtype} {list(tensor.shape)}"
            elif raw_bytes(tensor).hex() != want["bytes"]:
                yield f"{name} holds other bytes"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rsw", type=Path, default=ROOT / "tools" / "rsw", help="the rsw tool")
    arguments = parser.parse_args()

    checked, failed = 0, 0
    with tempfile.TemporaryDirectory() as folder:
        for checkpoint in sorted((ROOT / "Fixtures" / "reading").glob("*.pth")):
            if checkpoint.stem in NOT_CONVERTED:
                continue
            converted = Path(folder) / (checkpoint.stem + ".rsw")
            subprocess.run([arguments.rsw, "convert", checkpoint, converted, "--quiet"], check=True)
            expected = json.loads(checkpoint.with_suffix(".json").read_text())
            found = list(differences(expected, converted))
            for difference in found:
                print(f"{checkpoint.stem}: {difference}")
            checked += 1
            failed += bool(found)
    print(f"{checked - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
