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

# The dtypes that safetensors' Python reader knows
DTYPES = {
    "float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint64", "uint32",
    "uint16", "uint8", "bool", "complex64", "float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2",
    "float8_e5m2fnuz",
}  # fmt: skip


def is_convertible(expected):
    """Whether the fixture is one state dict of tensors that safetensors can hold."""
    return "candidates" not in expected and all(
        "layout" not in tensor and tensor["dtype"] in DTYPES for tensor in expected["tensors"]
    )


def raw_bytes(tensor):
    """The tensor's elements as they lie in memory."""
    return tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def differences(expected, converted):
    """What differs between a fixture's expectation and the file that rsw wrote, a line each."""
    prefix = expected.get("prefix") or ""
    wanted = {tensor["name"].removeprefix(prefix): tensor for tensor in expected["tensors"]}
    with safe_open(converted, framework="pt") as file:
        # rsw removes a wrapper's prefix only where that makes the names a ResNet's.
        names = {name.removeprefix(prefix): name for name in file.keys()}
        for name in sorted(set(names) ^ set(wanted)):
            yield f"{name} is in one of both only"
        for name in sorted(set(names) & set(wanted)):
            tensor, want = file.get_tensor(names[name]), wanted[name]
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
        for case in sorted((ROOT / "Fixtures" / "reading").glob("*.json")):
            expected = json.loads(case.read_text())
            if not is_convertible(expected):
                continue
            converted = Path(folder) / (case.stem + ".rsw")
            command = [arguments.rsw, "convert", case.parent / expected["file"], converted, "--quiet"]
            if "member" in expected:
                command += ["--member", expected["member"]]
            subprocess.run(command, check=True)
            found = list(differences(expected, converted))
            for difference in found:
                print(f"{case.stem}: {difference}")
            checked += 1
            failed += bool(found)
    print(f"{checked - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
