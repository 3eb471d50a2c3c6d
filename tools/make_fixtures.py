"""Rewrites everything under Fixtures/, with the same bytes each time on one kind of CPU.

    tools/python tools/make_fixtures.py

Fixtures/models   narrow ResNets with inputs, logits and activations
Fixtures/reading  checkpoints that must be read, each with a JSON file of what they hold
Fixtures/bad      files that must be refused
Fixtures/digits   a narrow ResNet-18 trained on scikit-learn's handwritten digits

Every checkpoint in Fixtures/reading is read back, by torch.load wherever torch can, and compared
with its JSON file before anything is written.
"""

import gzip
import hashlib
import io
import json
import os
import pickle
import pickletools
import platform
import shutil
import struct
import sys
import tempfile
import warnings
import zipfile
import zlib
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import sklearn
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

import torchvision_models
from torchvision_models import NarrowResNet, randomize

FIXTURES = Path(__file__).resolve().parent.parent / "Fixtures"
SEED = 20240229

# The prefixes that wrappers and training frameworks put before every name of a state dict.
PREFIXES = {
    "module": "module.",
    "_orig_mod": "_orig_mod.",
    "model": "model.",
    "backbone": "backbone.",
    "module-_orig_mod": "_orig_mod.module.",
}

NESTING_KEYS = ("state_dict", "model", "model_state_dict", "net", "params")

# Width and input size of each model. The sizes mix even and odd extents and end in a last stage of
# more than one pixel; the deepest models are the narrowest, to keep the repository small.
MODELS = {
    "resnet18": (4, (48, 48)),
    "resnet34": (3, (45, 37)),
    "resnet50": (4, (48, 64)),
    "resnet101": (2, (33, 47)),
    "resnet152": (2, (65, 32)),
}


# --- What a checkpoint holds -----------------------------------------------------------------


def contiguous_bytes(tensor):
    """The elements of a tensor in row-major order, whatever its dtype and strides.

    It gathers them from the storage's bytes because some dtypes can be saved but not copied.
    """
    if tensor.numel() == 0:
        return b""
    storage = tensor.untyped_storage()
    storage_bytes = torch.empty(0, dtype=torch.uint8).set_(storage).numpy()
    size = tensor.element_size()
    elements = np.lib.stride_tricks.as_strided(
        storage_bytes[tensor.storage_offset() * size :],
        shape=(*tensor.shape, size),
        strides=(*(stride * size for stride in tensor.stride()), 1),
    )
    return elements.tobytes()


def describe(tensors):
    """The JSON description of named tensors; storages are numbered in order of appearance."""
    storages = {}
    return [
        {
            "name": name,
            "dtype": str(tensor.dtype).removeprefix("torch."),
            "shape": list(tensor.shape),
            "strides": list(tensor.stride()),
            "offset": tensor.storage_offset(),
            "storage": storages.setdefault(tensor.untyped_storage()._cdata, len(storages)),
            "bytes": contiguous_bytes(tensor).hex(),
        }
        for name, tensor in tensors.items()
    ]


# --- Pickles ---------------------------------------------------------------------------------


class Call:
    """Pickles as a call of `function`, which the reader of the pickle is asked to make."""

    def __init__(self, function, *arguments):
        self.function = function
        self.arguments = arguments

    def __reduce__(self):
        return self.function, self.arguments


@dataclass(frozen=True)
class StorageReference:
    """A storage as the pickle names it, which need not be what the archive holds."""

    key: str
    numel: int
    storage_class: type = torch.FloatStorage


class ReferencePickler(pickle.Pickler):
    """Writes storage references the way torch.save writes storages."""

    def persistent_id(self, obj):
        if isinstance(obj, StorageReference):
            return ("storage", obj.storage_class, obj.key, "cpu", obj.numel)
        return None


def pickle_with_references(obj):
    file = io.BytesIO()
    ReferencePickler(file, protocol=2).dump(obj)
    return file.getvalue()


def tensor_call(key, storage_numel, shape, strides, offset=0):
    """The pickled form of a float32 tensor, with whatever numbers are asked for."""
    storage = StorageReference(key, storage_numel)
    hooks = OrderedDict()
    return Call(torch._utils._rebuild_tensor_v2, storage, offset, shape, strides, False, hooks)


# --- ZIP archives ----------------------------------------------------------------------------

LOCAL_HEADER = struct.Struct("<4s5H3I2H")
CENTRAL_HEADER = struct.Struct("<4s6H3I5H2I")
END_OF_CENTRAL_DIRECTORY = struct.Struct("<4s4H2IH")
ZIP64_END_OF_CENTRAL_DIRECTORY = struct.Struct("<4sQ2H2I4Q")
ZIP64_LOCATOR = struct.Struct("<4sIQI")

DESCRIPTOR_FLAG = 1 << 3
UTF8_FLAG = 1 << 11
DOS_EPOCH = 0x21  # 1980-01-01
ZIP64_EXTRA = 0x0001
IN_ZIP64 = 0xFFFFFFFF  # In place of a value that is in the ZIP64 extra field


@dataclass(frozen=True)
class ZipLayout:
    """The choices that the ZIP format leaves to a writer, and that readers get wrong."""

    descriptors: str = "none"  # or "signed" or "unsigned"
    zero_local_headers: bool = False  # without the flag that announces a descriptor
    align_to_64: bool = False
    zip64: bool = False
    comment: bytes = b""
    prefix: bytes = b""


def alignment_field(data_start):
    """torch's `FB` extra field, whose padding moves data at `data_start` to a multiple of 64."""
    padding = -(data_start + 4) % 64
    return struct.pack("<2sH", b"FB", padding) + b"Z" * padding


def zip_record(name, data, offset, layout):
    """One stored record: its local header, data and descriptor, and its central header."""
    name, crc, size = name.encode(), zlib.crc32(data), len(data)
    version = 45 if layout.zip64 else 20
    flags = UTF8_FLAG | (0 if layout.descriptors == "none" else DESCRIPTOR_FLAG)
    local_values = central_values = (crc, size, size)
    local_extra = central_extra = b""
    central_offset = offset
    if layout.descriptors != "none" or layout.zero_local_headers:
        local_values = (0, 0, 0)
    if layout.zip64:
        local_values = central_values = (crc, IN_ZIP64, IN_ZIP64)
        local_extra = struct.pack("<2H2Q", ZIP64_EXTRA, 16, size, size)
        central_extra = struct.pack("<2H3Q", ZIP64_EXTRA, 24, size, size, offset)
        central_offset = IN_ZIP64
    if layout.align_to_64:
        local_extra += alignment_field(offset + LOCAL_HEADER.size + len(name) + len(local_extra))

    local = LOCAL_HEADER.pack(
        b"PK\3\4", version, flags, 0, 0, DOS_EPOCH, *local_values, len(name), len(local_extra)
    )
    descriptor = b"" if layout.descriptors == "none" else struct.pack("<3I", crc, size, size)
    if layout.descriptors == "signed":
        descriptor = b"PK\7\x08" + descriptor
    central = CENTRAL_HEADER.pack(
        b"PK\1\2", version, version, flags, 0, 0, DOS_EPOCH, *central_values,
        len(name), len(central_extra), 0, 0, 0, 0, central_offset,
    )  # fmt: skip
    return local + name + local_extra + data + descriptor, central + name + central_extra


def zip64_end(count, directory_size, directory_offset):
    """The ZIP64 end-of-central-directory record and the locator that points to it."""
    record = ZIP64_END_OF_CENTRAL_DIRECTORY.pack(
        b"PK\6\6", ZIP64_END_OF_CENTRAL_DIRECTORY.size - 12, 45, 45, 0, 0,
        count, count, directory_size, directory_offset,
    )  # fmt: skip
    return record + ZIP64_LOCATOR.pack(b"PK\6\7", 0, directory_offset + directory_size, 1)


def zip_archive(records, layout=ZipLayout()):
    """An archive of stored (name, data) records."""
    body, directory = b"", b""
    for name, data in records:
        record, header = zip_record(name, data, len(body), layout)
        body += record
        directory += header
    counts, extent = (len(records), len(records)), (len(directory), len(body))
    zip64 = b""
    if layout.zip64:
        zip64 = zip64_end(len(records), *extent)
        counts, extent = (0xFFFF, 0xFFFF), (IN_ZIP64, IN_ZIP64)
    end = END_OF_CENTRAL_DIRECTORY.pack(b"PK\5\6", 0, 0, *counts, *extent, len(layout.comment))
    return layout.prefix + body + directory + zip64 + end + layout.comment


def deflated(archive):
    """The same records, compressed."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as target:
        for name, data in zip_records(archive):
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            target.writestr(info, data)
    return file.getvalue()


def zip_records(archive):
    """The (name, data) records of an archive, in order."""
    with zipfile.ZipFile(io.BytesIO(archive)) as source:
        return [(name, source.read(name)) for name in source.namelist()]


def record_bytes(archive, suffix):
    """Where the bytes of a record lie, compressed if it is, as a slice of the archive."""
    with zipfile.ZipFile(io.BytesIO(archive)) as source:
        info = next(info for info in source.infolist() if info.filename.endswith(suffix))
    header = LOCAL_HEADER.unpack_from(archive, info.header_offset)
    start = info.header_offset + LOCAL_HEADER.size + header[-2] + header[-1]
    return slice(start, start + info.compress_size)


def replace_bytes(archive, where, replacement):
    return archive[: where.start] + replacement + archive[where.stop :]


def checkpoint_archive(pickled, storages, byteorder=b"little"):
    """An archive as torch lays it out, around a pickle made by hand."""
    records = [("archive/data.pkl", pickled), ("archive/byteorder", byteorder)]
    records += [(f"archive/data/{key}", data) for key, data in enumerate(storages)]
    records += [("archive/version", b"3\n")]
    return zip_archive(records, ZipLayout(align_to_64=True))


# --- State dicts -----------------------------------------------------------------------------


class TinyModel(nn.Module):
    """The smallest module whose state dict mixes parameters with an integer buffer."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 2)
        self.register_buffer("steps", torch.tensor([7, -1, 2**40]))


def saved(obj, **options):
    """The bytes that torch.save writes."""
    file = io.BytesIO()
    torch.save(obj, file, **options)
    return file.getvalue()


def tiny_state():
    return TinyModel().state_dict()


def tiny_archive():
    return saved(tiny_state())


def smallest_resnet_state():
    """The state dict of a ResNet-18 with one channel in its stem and three classes."""
    return randomize(NarrowResNet("resnet18", width=1, num_classes=3), SEED).state_dict()


# --- Values of every dtype -------------------------------------------------------------------


def tensor_of_bits(dtype, patterns, width):
    """A tensor of a dtype, from unsigned integers that spell its elements' bits."""
    data = b"".join(pattern.to_bytes(width, "little") for pattern in patterns)
    # Copying between storages works for every dtype; most conversions do not exist for all.
    tensor = torch.empty(len(patterns), dtype=dtype)
    tensor.untyped_storage().copy_(torch.UntypedStorage(list(data)))
    return tensor


# Bits of: 0, -0, 1, -1, the smallest and largest denormal, the smallest normal, the largest finite
# value and its negative, both infinities, NaN and negative NaN, and some values in between.
# torch converts float16 to float32 in vectors, and what is left over with code that turns every NaN
# into 0x7fffffff; 32 values leave nothing over, and so keep the sign of a NaN.
FLOAT_BITS = {
    torch.float64: (8, [
        0x0, 0x8000000000000000, 0x3FF0000000000000, 0xBFF0000000000000, 0x1,
        0x000FFFFFFFFFFFFF, 0x0010000000000000, 0x7FEFFFFFFFFFFFFF, 0xFFEFFFFFFFFFFFFF,
        0x7FF0000000000000, 0xFFF0000000000000, 0x7FF8000000000000, 0xFFF8000000000000,
        0x400921FB54442D18, 0xBFD5555555555555, 0x3FF0000010000000, 0x3FF0000030000000,
        0x3810000000000000, 0x36A0000000000000, 0x3690000000000000, 0x47EFFFFFE0000000,
        0x47EFFFFFF0000000,
    ]),
    torch.float32: (4, [
        0x0, 0x80000000, 0x3F800000, 0xBF800000, 0x1, 0x007FFFFF, 0x00800000, 0x7F7FFFFF,
        0xFF7FFFFF, 0x7F800000, 0xFF800000, 0x7FC00000, 0xFFC00000, 0x40490FDB, 0xBEAAAAAB,
    ]),
    torch.float16: (2, [
        0x0, 0x8000, 0x3C00, 0xBC00, 0x1, 0x8001, 0x200, 0x3FF, 0x83FF, 0x400, 0x8400, 0x7BFF,
        0xFBFF, 0x7C00, 0xFC00, 0x7E00, 0xFE00, 0x4248, 0xB555, 0x3555, 0x5640, 0x0155, 0x2, 0x3,
        0x100, 0x3C01, 0x3BFF, 0x6400, 0x6401, 0xE7FF, 0x7800, 0x8155,
    ]),
    torch.bfloat16: (2, [
        0x0, 0x8000, 0x3F80, 0xBF80, 0x1, 0x8001, 0x7F, 0x80, 0x8080, 0x7F7F, 0xFF7F, 0x7F80,
        0xFF80, 0x7FC0, 0xFFC0, 0x4049, 0xBEAB,
    ]),
}  # fmt: skip

INTEGER_DTYPES = (
    torch.int8, torch.int16, torch.int32, torch.int64,
    torch.uint8, torch.uint16, torch.uint32, torch.uint64,
)  # fmt: skip

COMPLEX_PARTS = {
    torch.complex32: torch.float16,
    torch.complex64: torch.float32,
    torch.complex128: torch.float64,
}

# Types of one byte and less, and torch's opaque ones: a spread of bit patterns that includes, for
# each of the 8-bit floats, both zeros, denormals, its extremes, and its infinities and NaNs.
SMALL_DTYPES = (
    torch.float8_e4m3fn, torch.float8_e4m3fnuz, torch.float8_e5m2, torch.float8_e5m2fnuz,
    torch.float8_e8m0fnu, torch.float4_e2m1fn_x2,
    torch.bits1x8, torch.bits2x4, torch.bits4x2, torch.bits8,
)  # fmt: skip
SMALL_PATTERNS = (
    0x00, 0x80, 0x01, 0x81, 0x03, 0x07, 0x04, 0x08, 0x38, 0x3C, 0x40, 0xB8, 0xBC, 0xC0, 0x7B,
    0x7C, 0x7D, 0x7E, 0x7F, 0xFB, 0xFC, 0xFD, 0xFE, 0xFF, 0x15, 0x2A, 0x5A, 0xA5,
)  # fmt: skip


def float_values(dtype):
    width, patterns = FLOAT_BITS[dtype]
    return tensor_of_bits(dtype, patterns, width)


def integer_values(dtype):
    """Extremes, small values, and those next to where float32 and float64 stop being exact."""
    limits = torch.iinfo(dtype)
    candidates = [0, 1, -1, 2, 100, -100, limits.min, limits.min + 1, limits.max - 1, limits.max]
    for power in (24, 25, 31, 53, 62):
        candidates += [2**power - 1, 2**power, 2**power + 1, 2**power + 3, -(2**power) - 1]
    values = [value for value in dict.fromkeys(candidates) if limits.min <= value <= limits.max]
    width = limits.bits // 8
    return tensor_of_bits(dtype, [value % 2**limits.bits for value in values], width)


def complex_values(dtype):
    """Every value of the real type as a real part, with the same values reversed beside them."""
    width, patterns = FLOAT_BITS[COMPLEX_PARTS[dtype]]
    pairs = [
        real | imaginary << 8 * width for real, imaginary in zip(patterns, reversed(patterns))
    ]
    return tensor_of_bits(dtype, pairs, 2 * width)


BOOL_VALUES = (True, False, False, True, True)


# --- Fixtures/reading ------------------------------------------------------------------------


@dataclass
class ReadingFixture:
    """A checkpoint and what must be found in it."""

    archive: bytes
    tensors: dict
    # Further keys of the JSON file: "nesting", "prefix", "candidates"
    notes: dict = field(default_factory=dict)
    # What reads it back: "weights_only" or "pickle" for torch.load, "zipfile" if torch cannot,
    # "none" if no reader here can
    reader: str = "weights_only"


# What hand-made tensors are views of
TEN_FLOATS = np.arange(10, dtype="<f4").tobytes()

READING = {}
BAD = {}
BAD_ARRAYS = {}


def case(registry, name, values=("",)):
    """Registers a function that makes the fixture `name`, or one for each of `values`.

    Its docstring is the recipe; `{}` in the name and in the docstring stands for the value.
    """

    def register(function):
        for value in values:
            make = (lambda value=value: function(value)) if "{}" in name else function
            registry[name.format(value)] = (function.__doc__.format(value), make)
        return function

    return register


@case(READING, "zip-stored")
def zip_stored():
    """torch.save of the state dict of a module with a linear layer and an int64 buffer"""
    state = tiny_state()
    return ReadingFixture(saved(state), state)


@case(READING, "zip-deflated")
def zip_deflated():
    """zip-stored with its records compressed by deflate"""
    state = tiny_state()
    return ReadingFixture(deflated(saved(state)), state)


@case(READING, "zip64-forced")
def zip64_forced():
    """zip-stored with every size and offset in ZIP64 fields, though none needs them"""
    return rezipped(ZipLayout(zip64=True))


@case(READING, "zip-descriptors")
def zip_descriptors():
    """zip-stored with sizes and CRCs only in data descriptors that have the signature"""
    return rezipped(ZipLayout(descriptors="signed"))


@case(READING, "zip-descriptors-unsigned")
def zip_descriptors_unsigned():
    """zip-stored with sizes and CRCs only in data descriptors that lack the signature"""
    return rezipped(ZipLayout(descriptors="unsigned"))


@case(READING, "zip-zero-local-headers")
def zip_zero_local_headers():
    """zip-stored with zero sizes and CRCs in local headers, no descriptors, and FB padding"""
    return rezipped(ZipLayout(zero_local_headers=True, align_to_64=True))


@case(READING, "zip-crc-zero")
def zip_crc_zero():
    """zip-stored as torch writes it after set_crc32_options(False): every recorded CRC is 0"""
    state = tiny_state()
    torch.serialization.set_crc32_options(False)
    archive = saved(state)
    torch.serialization.set_crc32_options(True)
    return ReadingFixture(archive, state)


@case(READING, "zip-top-folder-renamed")
def zip_top_folder_renamed():
    """zip-stored with all records in a folder called "my.model v2" instead of "archive\""""
    state = tiny_state()
    records = [
        (name.replace("archive/", "my.model v2/", 1), data)
        for name, data in zip_records(saved(state))
    ]
    return ReadingFixture(zip_archive(records, ZipLayout(align_to_64=True)), state)


@case(READING, "zip-no-byteorder")
def zip_no_byteorder():
    """zip-stored with only the records that torch wrote before 2.0: no byteorder among them"""
    state = tiny_state()
    records = [
        (name, data)
        for name, data in zip_records(saved(state))
        if name.endswith(("/data.pkl", "/version")) or "/data/" in name
    ]
    return ReadingFixture(zip_archive(records, ZipLayout(align_to_64=True)), state)


@case(READING, "zip-comment")
def zip_comment():
    """zip-stored with an archive comment"""
    return rezipped(ZipLayout(comment=b"A comment after the end of the central directory."))


@case(READING, "zip-prefix")
def zip_prefix():
    """zip-stored after a few bytes that its offsets do not count, as in self-extracting files"""
    fixture = rezipped(ZipLayout(prefix=b"#!/bin/sh\nexit 1\n"))
    fixture.reader = "zipfile"  # torch wants a local header at the start of the file.
    return fixture


def rezipped(layout):
    """The tiny checkpoint in another ZIP layout."""
    state = tiny_state()
    return ReadingFixture(zip_archive(zip_records(saved(state)), layout), state)


@case(READING, "protocol-{}", (2, 3, 4, 5))
def protocol(version):
    """zip-stored with pickle protocol {}"""
    state = tiny_state()
    # The unpickler behind weights_only is made for protocol 2, the default of torch.save.
    reader = "weights_only" if version == 2 else "pickle"
    return ReadingFixture(saved(state, pickle_protocol=version), state, reader=reader)


@case(READING, "rebuild-tensor-v1")
def rebuild_tensor_v1():
    """tensors pickled as calls of torch._utils._rebuild_tensor, as before torch 0.4"""
    state = OrderedDict(weight=torch.randn(3, 4).t(), steps=torch.arange(6)[2:5])
    calls = OrderedDict(
        (name, Call(
            torch._utils._rebuild_tensor, tensor._typed_storage(),
            tensor.storage_offset(), tuple(tensor.shape), tensor.stride(),
        ))
        for name, tensor in state.items()
    )  # fmt: skip
    return ReadingFixture(saved(calls), state)


@case(READING, "rebuild-parameter")
def rebuild_parameter():
    """nn.Parameters, one with and one without requires_grad: _rebuild_parameter"""
    state = OrderedDict(
        weight=nn.Parameter(torch.randn(2, 3)),
        frozen=nn.Parameter(torch.randn(4), requires_grad=False),
    )
    return ReadingFixture(saved(state), state)


@case(READING, "rebuild-parameter-with-state")
def rebuild_parameter_with_state():
    """an nn.Parameter with a Python attribute: _rebuild_parameter_with_state"""
    weight = nn.Parameter(torch.randn(2, 3))
    weight.is_shared = True
    state = OrderedDict(weight=weight, bias=nn.Parameter(torch.randn(3)))
    return ReadingFixture(saved(state), state)


@case(READING, "rebuild-tensor-v3")
def rebuild_tensor_v3():
    """tensors of dtypes without a storage class: _rebuild_tensor_v3 over UntypedStorage"""
    words = torch.arange(12, dtype=torch.int32).to(torch.uint16).reshape(3, 4)
    state = OrderedDict(
        words=words,
        transposed=words.t(),
        scale=torch.randn(5).to(torch.float8_e4m3fn),
    )
    return ReadingFixture(saved(state), state)


@case(READING, "rebuild-from-type-v2")
def rebuild_from_type_v2():
    """a plain tensor with a Python attribute: torch._tensor._rebuild_from_type_v2"""
    weight = torch.randn(2, 3)
    weight.note = "kept by torch.save"
    state = OrderedDict(weight=weight, bias=torch.randn(3))
    return ReadingFixture(saved(state), state)


@case(READING, "typed-storage")
def typed_storage():
    """tensors over eight storage classes: Float, Double, Half, BFloat16, Long, Int, Byte, Bool"""
    dtypes = (
        torch.float32, torch.float64, torch.float16, torch.bfloat16,
        torch.int64, torch.int32, torch.uint8, torch.bool,
    )  # fmt: skip
    state = OrderedDict((str(dtype)[6:], (torch.arange(4) - 1).abs().to(dtype)) for dtype in dtypes)
    return ReadingFixture(saved(state), state)


@case(READING, "untyped-storage")
def untyped_storage():
    """a uint16 tensor, its UntypedStorage as an entry of its own, and a float32 tensor"""
    words = torch.arange(6, dtype=torch.int32).to(torch.uint16)
    state = OrderedDict(words=words, weight=torch.randn(2))
    entries = OrderedDict(state, words_storage=words.untyped_storage())
    return ReadingFixture(saved(entries), state)


@case(READING, "dtypes")
def dtypes():
    """one tensor of each dtype that torch.save accepts, named after it, with special values"""
    state = OrderedDict()
    state.update((dtype, float_values(dtype)) for dtype in FLOAT_BITS)
    state.update((dtype, integer_values(dtype)) for dtype in INTEGER_DTYPES)
    state[torch.bool] = torch.tensor(BOOL_VALUES)
    state.update((dtype, complex_values(dtype)) for dtype in COMPLEX_PARTS)
    state.update((dtype, tensor_of_bits(dtype, SMALL_PATTERNS, 1)) for dtype in SMALL_DTYPES)
    state[torch.bits16] = tensor_of_bits(torch.bits16, [0, 1, 0x8000, 0x1234, 0xFFFF], 2)
    state = OrderedDict((str(dtype)[6:], tensor) for dtype, tensor in state.items())
    return ReadingFixture(saved(state), state)


@case(READING, "floats")
def floats():
    """the dtypes that convert to float32, with every class of value; float32 is .to(float32)"""
    state = OrderedDict()
    for dtype in (torch.float64, torch.float16, torch.bfloat16):
        state[str(dtype)[6:]] = float_values(dtype)
    for dtype in INTEGER_DTYPES:
        state[str(dtype)[6:]] = integer_values(dtype)
    state["bool"] = torch.tensor(BOOL_VALUES)
    return ReadingFixture(saved(state), state, {"float32": True})


@case(READING, "views")
def views():
    """transposed, sliced, offset, expanded, tied, overlapping, channels-last, permuted tensors"""
    matrix = torch.randn(4, 5)
    vector = torch.arange(20, dtype=torch.float32)
    image = torch.randn(2, 3, 4, 5)
    state = OrderedDict(
        transposed=torch.randn(3, 4).t(),
        stepped=torch.arange(20)[2:18:3],
        offset=torch.randn(10)[4:],
        narrowed=matrix.narrow(1, 1, 3),
        expanded=torch.randn(3, 1).expand(3, 4),
        tied=matrix,
        tied_too=matrix,
        overlapping=vector.as_strided((5, 8), (3, 1)),
        overlapping_too=vector[6:14],
        channels_last=image.contiguous(memory_format=torch.channels_last),
        permuted=image.permute(2, 0, 3, 1),
    )
    return ReadingFixture(saved(state), state)


@case(READING, "zero-size")
def zero_size():
    """tensors without elements, of shapes [0] and [3, 0, 2], beside one with elements"""
    state = OrderedDict(
        empty=torch.empty(0), empty_middle=torch.empty(3, 0, 2), weight=torch.randn(2)
    )
    return ReadingFixture(saved(state), state)


@case(READING, "zero-dim")
def zero_dim():
    """tensors of rank 0: a float32 and an int64"""
    state = OrderedDict(scale=torch.tensor(-1.5), steps=torch.tensor(2**40 + 1))
    return ReadingFixture(saved(state), state)


@case(READING, "empty-dict")
def empty_dict():
    """the state dict of a module without parameters"""
    state = nn.ReLU().state_dict()
    return ReadingFixture(saved(state), state)


@case(READING, "metadata-scalars")
def metadata_scalars():
    """tensors among entries of every other kind that weights_only accepts"""
    state = OrderedDict(weight=torch.randn(2, 3), bias=torch.randn(2))
    entries = OrderedDict(
        weight=state["weight"],
        epoch=12,
        negative=-70_000,
        large=2**75,
        learning_rate=0.1,
        flag=True,
        note="plain text",
        nothing=None,
        size=torch.Size([1, 2]),
        dtype=torch.bfloat16,
        device=torch.device("cpu"),
        milestones=[30, 60, 90],
        pair=(1, "two"),
        options={"momentum": 0.9, "deeper": {"list": [True, None, "x"]}},
        bias=state["bias"],
    )
    return ReadingFixture(saved(entries), state)


@case(READING, "nested-{}", NESTING_KEYS)
def nested(key):
    """a training checkpoint whose state dict is under "{}", beside epoch, score and optimizer"""
    model = TinyModel()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    model.linear(torch.randn(4, 3)).sum().backward()
    optimizer.step()
    state = model.state_dict()
    checkpoint = {
        "epoch": 3,
        "arch": "resnet18",
        key: state,
        "best_acc1": torch.tensor(71.25),
        "optimizer": optimizer.state_dict(),
    }
    return ReadingFixture(saved(checkpoint), state, {"nesting": key})


@case(READING, "nested-ema")
def nested_ema():
    """a checkpoint with a state dict under "state_dict" and its average under "state_dict_ema\""""
    state = tiny_state()
    average = OrderedDict((name, tensor.clone()) for name, tensor in state.items())
    checkpoint = {"epoch": 3, "state_dict": state, "state_dict_ema": average}
    return ReadingFixture(saved(checkpoint), state, {"nesting": "state_dict"})


@case(READING, "nested-two")
def nested_two():
    """a checkpoint with two state dicts, under "generator" and "discriminator": which is unclear"""
    checkpoint = {"generator": tiny_state(), "discriminator": tiny_state()}
    return ReadingFixture(saved(checkpoint), {}, {"candidates": list(checkpoint)})


@case(READING, "prefix-{}", PREFIXES)
def prefixed(wrapper):
    """a deflated ResNet-18 one channel wide, with the prefix of {} before every name"""
    prefix = PREFIXES[wrapper]
    state = OrderedDict((prefix + name, t) for name, t in smallest_resnet_state().items())
    return ReadingFixture(deflated(saved(state)), state, {"prefix": prefix})


@case(READING, "unicode-keys")
def unicode_keys():
    """names outside ASCII, two of which only differ in how é is composed, and ones to escape"""
    names = ("\u00e9", "e\u0301", "\U0001f525.weight", 'quote"back\\slash\nnewline')
    state = OrderedDict((name, torch.randn(2)) for name in names)
    return ReadingFixture(saved(state), state)


@case(READING, "many-keys")
def many_keys():
    """300 tensors: more memo entries than fit a byte, so LONG_BINPUT and LONG_BINGET"""
    state = OrderedDict((f"block.{i}.scale", torch.randn(1)) for i in range(300))
    return ReadingFixture(saved(state), state)

def saved_as_stream(obj, **options):
    """The bytes that torch.save writes in the format of torch before 1.6."""
    return saved(obj, _use_new_zipfile_serialization=False, **options)


LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_VERSION = 1001


def legacy_stream(pickled, storages, little_endian=True):
    """A stream with a pickle and storages, by their keys: (number of elements, bytes)."""
    information = {"protocol_version": LEGACY_VERSION, "little_endian": little_endian}
    head = [pickle.dumps(value, protocol=2) for value in (LEGACY_MAGIC, LEGACY_VERSION, information)]
    body = [struct.pack("<q", count) + data for count, data in storages.values()]
    return b"".join([*head, pickled, pickle.dumps(list(storages), protocol=2), *body])


class LegacyPickler(pickle.Pickler):
    """Writes (StorageReference, view) pairs the way torch.save wrote storages before 1.6."""

    def persistent_id(self, obj):
        if isinstance(obj, tuple) and len(obj) == 2 and isinstance(obj[0], StorageReference):
            reference, view = obj
            return ("storage", reference.storage_class, reference.key, "cpu", reference.numel, view)
        return None


def pickle_with_views(obj):
    file = io.BytesIO()
    LegacyPickler(file, protocol=2).dump(obj)
    return file.getvalue()


def legacy_tensor(key, view, shape, strides, offset=0):
    """The pickled form of a float32 tensor over a storage of ten floats, or over a view of it."""
    storage = (StorageReference(key, 10), view)
    return Call(torch._utils._rebuild_tensor_v2, storage, offset, shape, strides, False, OrderedDict())


@case(READING, "legacy")
def legacy():
    """torch.save of a state dict as a stream, as torch before 1.6 did"""
    state = tiny_state()
    return ReadingFixture(saved_as_stream(state), state)


@case(READING, "legacy-protocol-{}", (3, 4, 5))
def legacy_protocol(version):
    """a stream whose pickles are of protocol {}"""
    state = tiny_state()
    return ReadingFixture(saved_as_stream(state, pickle_protocol=version), state, reader="pickle")


@case(READING, "legacy-tensors")
def legacy_tensors():
    """the tensors of views, dtypes with storage classes and nn.Parameters, as a stream"""
    state = OrderedDict(views().tensors)
    state.update(typed_storage().tensors)
    state["parameter"] = nn.Parameter(torch.randn(2, 3))
    state["complex"] = torch.randn(3, dtype=torch.complex64)
    return ReadingFixture(saved_as_stream(state), state)


@case(READING, "legacy-nested")
def legacy_nested():
    """a state dict beside an epoch and an optimizer, as a stream"""
    state = tiny_state()
    checkpoint = {"epoch": 3, "state_dict": state, "optimizer": {"state": {}, "param_groups": []}}
    return ReadingFixture(saved_as_stream(checkpoint), state, {"nesting": "state_dict"})


@case(READING, "legacy-views")
def legacy_views():
    """storage ids with view metadata, (key, offset, elements), as torch before 0.4 wrote them"""
    base = torch.from_numpy(np.frombuffer(TEN_FLOATS, dtype="<f4").copy())
    calls = OrderedDict(
        whole=legacy_tensor("7", None, (2, 5), (5, 1)),
        part=legacy_tensor("7", ("8", 4, 6), (2, 2), (2, 1), offset=1),
    )
    # Each view counts as a storage of its own, so these offsets are inside the views.
    state = OrderedDict(whole=base.view(2, 5), part=base.clone()[4:].clone()[1:5].view(2, 2))
    return ReadingFixture(
        legacy_stream(pickle_with_views(calls), {"7": (10, TEN_FLOATS)}), state, reader="pickle"
    )


@case(READING, "legacy-big-endian")
def legacy_big_endian():
    """a stream from a big-endian machine"""
    calls = OrderedDict(weight=legacy_tensor("0", None, (10,), (1,)))
    swapped = np.arange(10, dtype=">f4").tobytes()
    state = OrderedDict(weight=torch.arange(10, dtype=torch.float32))
    stream = legacy_stream(pickle_with_views(calls), {"0": (10, swapped)}, little_endian=False)
    return ReadingFixture(stream, state, reader="none")


def python2_text(pickled):
    """A pickle with its text as Python 2 wrote it: SHORT_BINSTRING in place of BINUNICODE."""
    result, position = b"", 0
    for opcode, argument, start in pickletools.genops(pickled):
        result += pickled[position:start]
        position = start
        if opcode.name == "BINUNICODE":
            text = argument.encode()
            result += b"U" + bytes([len(text)]) + text
            position = start + 5 + len(text)
    return result + pickled[position:]


@case(READING, "legacy-python-2")
def legacy_python_2():
    """a stream whose text is bytes, as Python 2 wrote it"""
    calls = OrderedDict(weight=legacy_tensor("140", None, (2, 5), (5, 1)))
    pickled = python2_text(pickle_with_views(calls))
    state = OrderedDict(weight=torch.arange(10, dtype=torch.float32).view(2, 5))
    stream = legacy_stream(pickled, {"140": (10, TEN_FLOATS)})
    return ReadingFixture(stream, state, reader="pickle")


def expected_content(recipe, fixture):
    """The JSON file that goes with a checkpoint."""
    notes = dict(fixture.notes)
    tensors = describe(fixture.tensors)
    if notes.pop("float32", False):
        for entry in tensors:
            converted = fixture.tensors[entry["name"]].to(torch.float32)
            entry["float32"] = contiguous_bytes(converted).hex()
    return {"recipe": recipe, **notes, "tensors": tensors}


def read_back(fixture):
    """The named tensors that torch finds in a checkpoint."""
    loaded = torch.load(io.BytesIO(fixture.archive), weights_only=fixture.reader == "weights_only")
    if "candidates" in fixture.notes:
        assert list(loaded) == fixture.notes["candidates"]
        return {}
    loaded = loaded.get(fixture.notes.get("nesting"), loaded)
    return {name: value for name, value in loaded.items() if isinstance(value, torch.Tensor)}


def check_readable(name, fixture):
    """Fails unless what reads the checkpoint back finds what its JSON file says."""
    if fixture.reader == "none":
        return
    if fixture.reader == "zipfile":
        readable = zip_records(fixture.archive) == zip_records(saved(fixture.tensors))
    else:
        readable = describe(read_back(fixture)) == describe(fixture.tensors)
    if not readable:
        raise SystemExit(f"reading/{name}.pth does not read back as it was written")


def make_reading(folder, recipes):
    for name, (recipe, make) in READING.items():
        torch.manual_seed(SEED)
        fixture = make()
        check_readable(name, fixture)
        (folder / f"{name}.pth").write_bytes(fixture.archive)
        content = json.dumps(expected_content(recipe, fixture), separators=(",", ":"))
        (folder / f"{name}.json").write_text(content + "\n")
        recipes[f"reading/{name}.pth"] = recipe
        recipes[f"reading/{name}.json"] = f"what {name}.pth holds"


# --- Fixtures/bad ----------------------------------------------------------------------------

def archive_of_calls(**calls):
    """A checkpoint of hand-made tensors over one storage of ten floats."""
    return checkpoint_archive(pickle_with_references(OrderedDict(calls)), [TEN_FLOATS])


@case(BAD, "truncated")
def truncated():
    """zip-stored cut off at 60 % of its length"""
    archive = tiny_archive()
    return archive[: len(archive) * 6 // 10]


@case(BAD, "truncated-tail")
def truncated_tail():
    """zip-stored without its last ten bytes"""
    return tiny_archive()[:-10]


@case(BAD, "missing-record")
def missing_record():
    """zip-stored without its record data/1"""
    records = [r for r in zip_records(tiny_archive()) if not r[0].endswith("/data/1")]
    return zip_archive(records)


@case(BAD, "too-many-elements")
def too_many_elements():
    """a tensor of four times as many elements as its storage, which is described truthfully"""
    return archive_of_calls(weight=tensor_call("0", 10, (40,), (1,)))


@case(BAD, "storage-larger-than-record")
def storage_larger_than_record():
    """a storage said to have 20 elements whose record holds 10; the tensor needs only 10"""
    return archive_of_calls(weight=tensor_call("0", 20, (10,), (1,)))


@case(BAD, "view-outside-storage")
def view_outside_storage():
    """a [2, 3] tensor whose offset and strides take its last element past a storage of 10"""
    return archive_of_calls(weight=tensor_call("0", 10, (2, 3), (5, 1), offset=3))


@case(BAD, "negative-stride")
def negative_stride():
    """a tensor that runs backwards: stride -1 from the last element of its storage"""
    return archive_of_calls(weight=tensor_call("0", 10, (10,), (-1,), offset=9))


@case(BAD, "overflowing-shape")
def overflowing_shape():
    """a tensor of shape [2^62, 4] and strides [0, 1]: its element count overflows to 0"""
    return archive_of_calls(weight=tensor_call("0", 10, (2**62, 4), (0, 1)))


@case(BAD, "wrong-crc")
def wrong_crc():
    """zip-stored with one bit of its record data/1 flipped"""
    archive = tiny_archive()
    where = record_bytes(archive, "/data/1")
    data = bytearray(archive[where])
    data[len(data) // 2] ^= 0x10
    return replace_bytes(archive, where, bytes(data))


@case(BAD, "corrupt-deflate")
def corrupt_deflate():
    """zip-deflated with the compressed bytes of data/1 replaced by a block of no valid type"""
    archive = deflated(tiny_archive())
    where = record_bytes(archive, "/data/1")
    return replace_bytes(archive, where, b"\xff" * (where.stop - where.start))


@case(BAD, "legacy-truncated")
def legacy_truncated():
    """a stream cut short in its last storage"""
    return saved_as_stream(tiny_state())[:-5]


@case(BAD, "legacy-missing-storage")
def legacy_missing_storage():
    """a stream without one of the storages that it refers to"""
    calls = OrderedDict(weight=legacy_tensor("0", None, (10,), (1,)))
    return legacy_stream(pickle_with_views(calls), {})


@case(BAD, "legacy-wrong-count")
def legacy_wrong_count():
    """a stream in which a storage has fewer elements than its tensor's storage id says"""
    calls = OrderedDict(weight=legacy_tensor("0", None, (10,), (1,)))
    return legacy_stream(pickle_with_views(calls), {"0": (5, TEN_FLOATS[:20])})


@case(BAD, "big-endian")
def big_endian():
    """a checkpoint whose byteorder record says "big\""""
    pickled = pickle_with_references(OrderedDict(weight=tensor_call("0", 10, (10,), (1,))))
    swapped = np.arange(10, dtype=">f4").tobytes()
    return checkpoint_archive(pickled, [swapped], byteorder=b"big")


@case(BAD, "html")
def html():
    """the web page that a download of a moved file ends up with"""
    return b"""<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>404: Not Found</title></head>
<body><h1>Not Found</h1><p>The requested file does not exist.</p></body>
</html>
"""


@case(BAD, "git-lfs")
def git_lfs():
    """the pointer file that a clone without Git LFS leaves in place of a checkpoint"""
    digest = hashlib.sha256(b"a checkpoint").hexdigest()
    text = f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize 46830571\n"
    return text.encode()


@case(BAD, "gzip")
def gzipped():
    """zip-stored compressed with gzip"""
    return gzip.compress(tiny_archive(), mtime=0)


@case(BAD, "empty")
def empty():
    """a file of no bytes"""
    return b""


@case(BAD, "two-data-pkl")
def two_data_pkl():
    """two records called archive/data.pkl, of different content"""
    records = zip_records(tiny_archive())
    other = dict(zip_records(saved(OrderedDict(other=torch.randn(3)))))
    return zip_archive([*records, ("archive/data.pkl", other["archive/data.pkl"])])


@case(BAD, "os-system")
def os_system():
    """a state dict with an entry that calls os.system when unpickled, after a valid tensor"""
    state = OrderedDict(tiny_state())
    state["payload"] = Call(os.system, "touch this-pickle-ran-a-command")
    return saved(state)


@case(BAD, "not-a-state-dict")
def not_a_state_dict():
    """torch.save of a string"""
    return saved("resnet18")


@case(BAD, "no-data-pkl")
def no_data_pkl():
    """zip-stored without its data.pkl"""
    return zip_archive([r for r in zip_records(tiny_archive()) if not r[0].endswith("/data.pkl")])


@case(BAD, "shape-mismatch")
def shape_mismatch():
    """a ResNet-18 one channel wide whose layer3.0.conv2.weight takes 3 channels instead of 4"""
    state = smallest_resnet_state()
    state["layer3.0.conv2.weight"] = state["layer3.0.conv2.weight"][:, :3].clone()
    return deflated(saved(state))


@case(BAD, "missing-keys")
def missing_keys():
    """a ResNet-18 without layer1.0.conv1.weight and layer3.1.bn2.bias, but layer1.0.convX.weight"""
    state = smallest_resnet_state()
    state["layer1.0.convX.weight"] = state.pop("layer1.0.conv1.weight")
    del state["layer3.1.bn2.bias"]
    return deflated(saved(state))


def npy(array):
    """The bytes of a .npy file."""
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def random_array(shape, dtype):
    return np.random.default_rng(SEED).standard_normal(shape).astype(dtype)


@case(BAD_ARRAYS, "input-wrong-dtype")
def input_wrong_dtype():
    """a float64 image batch of shape [1, 3, 32, 32]"""
    return npy(random_array((1, 3, 32, 32), "<f8"))


@case(BAD_ARRAYS, "input-wrong-shape")
def input_wrong_shape():
    """a float32 image batch with one channel: [1, 1, 32, 32]"""
    return npy(random_array((1, 1, 32, 32), "<f4"))


@case(BAD_ARRAYS, "input-3d")
def input_3d():
    """a float32 image without a batch dimension: [3, 32, 32]"""
    return npy(random_array((3, 32, 32), "<f4"))


@case(BAD_ARRAYS, "truncated")
def truncated_array():
    """a float32 image batch of shape [1, 3, 32, 32] with a quarter of its elements missing"""
    return npy(random_array((1, 3, 32, 32), "<f4"))[: -3 * 32 * 32]


def make_bad(folder, recipes):
    for registry, suffix in ((BAD, "pth"), (BAD_ARRAYS, "npy")):
        for name, (recipe, make) in registry.items():
            torch.manual_seed(SEED)
            (folder / f"{name}.{suffix}").write_bytes(make())
            recipes[f"bad/{name}.{suffix}"] = recipe


# --- Fixtures/models -------------------------------------------------------------------------

ACTIVATIONS = ("maxpool", "layer1", "layer2", "layer3", "layer4", "avgpool")


def activations(model, images):
    """The logits and the output of each stage, computed in float64 and rounded once."""
    outputs = {}

    def record(name):
        return lambda module, inputs, output: outputs.update({name: output})

    hooks = [getattr(model, name).register_forward_hook(record(name)) for name in ACTIVATIONS]
    with torch.inference_mode():
        outputs["logits"] = model.double()(images.double())
    for hook in hooks:
        hook.remove()
    return {name: output.float().numpy() for name, output in outputs.items()}


def make_models(folder, recipes):
    for variant, (width, (height, image_width)) in MODELS.items():
        (folder / variant).mkdir()
        model = randomize(NarrowResNet(variant, width, num_classes=10), SEED)
        torch.save(model.state_dict(), folder / variant / "model.pth")
        generator = torch.Generator().manual_seed(SEED)
        images = torch.randn(2, 3, height, image_width, generator=generator)
        np.save(folder / variant / "input.npy", images.numpy())
        for name, output in activations(model, images).items():
            np.save(folder / variant / f"{name}.npy", output)
            recipes[f"models/{variant}/{name}.npy"] = f"{name} of model.pth, computed in float64"
        recipes[f"models/{variant}/model.pth"] = (
            f"torch.save of the state dict of a random {variant} with {width} channels in its stem"
        )
        recipes[f"models/{variant}/input.npy"] = "two images of standard normal noise"


# --- Fixtures/digits -------------------------------------------------------------------------

DIGITS_WIDTH = 4
DIGITS_EPOCHS = 30
DIGITS_BATCH = 64
DIGITS_STORED = 100
DIGITS_WANTED_ACCURACY = 0.97


def digit_images():
    """scikit-learn's digits as a training and a test set of 3×32×32 images in [0, 1]."""
    digits = load_digits()
    images = torch.from_numpy(digits.images).float() / 16
    # Nearest-neighbour upsampling, and three equal channels
    images = images.repeat_interleave(4, dim=1).repeat_interleave(4, dim=2)
    images = images.unsqueeze(1).expand(-1, 3, -1, -1)
    labels = torch.from_numpy(digits.target).long()
    train, test = train_test_split(
        np.arange(len(labels)), test_size=0.2, random_state=SEED, stratify=digits.target
    )
    return (images[train], labels[train]), (images[test], labels[test])


def train_digits(images, labels):
    """A narrow ResNet-18 trained from scratch."""
    torch.manual_seed(SEED)
    model = NarrowResNet("resnet18", DIGITS_WIDTH, num_classes=10)
    optimizer = torch.optim.SGD(
        model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4, nesterov=True
    )
    batches = len(labels) // DIGITS_BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=0.1, total_steps=DIGITS_EPOCHS * batches
    )
    for _ in range(DIGITS_EPOCHS):
        # The last, incomplete batch is left out; the shuffle makes it a different one each time.
        for batch in torch.randperm(len(labels))[: batches * DIGITS_BATCH].split(DIGITS_BATCH):
            loss = nn.functional.cross_entropy(model(images[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return model.eval()


def make_digits(folder, recipes):
    (train_images, train_labels), (test_images, test_labels) = digit_images()
    model = train_digits(train_images, train_labels)
    with torch.inference_mode():
        predicted = model(test_images).argmax(dim=1)
        accuracy = (predicted == test_labels).double().mean().item()
        stored = test_images[:DIGITS_STORED].contiguous()
        logits = model(stored)
    print(f"digits: {accuracy:.2%} of {len(test_labels)} test images classified correctly")
    if accuracy < DIGITS_WANTED_ACCURACY:
        raise SystemExit(f"digits: expected at least {DIGITS_WANTED_ACCURACY:.0%}")
    torch.save(model.state_dict(), folder / "resnet18-digits.pth")
    np.save(folder / "images.npy", stored.numpy())
    np.save(folder / "labels.npy", test_labels[:DIGITS_STORED].numpy())
    np.save(folder / "logits.npy", logits.numpy())
    recipes["digits/resnet18-digits.pth"] = (
        f"a ResNet-18 with {DIGITS_WIDTH} channels in its stem, trained for {DIGITS_EPOCHS} epochs "
        f"on 80 % of scikit-learn's digits; {accuracy:.2%} of the others classified correctly"
    )
    recipes["digits/images.npy"] = (
        f"{DIGITS_STORED} test images, 8x8 upsampled to 32x32 by nearest neighbour, in [0, 1]"
    )
    recipes["digits/labels.npy"] = "the digits that images.npy shows"
    recipes["digits/logits.npy"] = "float32 logits of resnet18-digits.pth for images.npy"


# --- All of them -----------------------------------------------------------------------------


def write_manifest(root, recipes):
    """Lists every file with its checksum, and what it takes to make it again."""
    files = [
        {
            "path": path,
            "sha256": hashlib.sha256((root / path).read_bytes()).hexdigest(),
            "recipe": recipes[path],
        }
        for path in sorted(recipes)
    ]
    manifest = {
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "torchvision": torchvision_models.VERSION,
            "numpy": np.__version__,
            "sklearn": sklearn.__version__,
        },
        "seed": SEED,
        "files": files,
    }
    (root / "manifest.json").write_text(json.dumps(manifest, indent=1, ensure_ascii=False) + "\n")


def make_all(root):
    recipes = {}
    for folder, make in (
        ("models", make_models),
        ("reading", make_reading),
        ("bad", make_bad),
        ("digits", make_digits),
    ):
        (root / folder).mkdir()
        make(root / folder, recipes)
    write_manifest(root, recipes)


def main():
    if sys.byteorder != "little":
        raise SystemExit("the fixtures are little-endian; make them on a little-endian machine")
    # The order of summation, and with it the last bits of a result, depends on the thread count.
    torch.set_num_threads(1)
    # complex32 is only saved here, and never computed with.
    warnings.filterwarnings("ignore", message="ComplexHalf support is experimental")
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch) / "Fixtures"
        root.mkdir()
        make_all(root)
        # Replaced only now, so that a failure leaves the old fixtures in place.
        shutil.rmtree(FIXTURES, ignore_errors=True)
        shutil.copytree(root, FIXTURES)
    files = [path for path in FIXTURES.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files)
    print(f"{len(files)} files, {size / 1e6:.2f} MB in {FIXTURES}")


if __name__ == "__main__":
    main()
