"""Images like photos, in every kind of JPEG and PNG file: what tools/compare_photos.py and tools/bench look at."""

import importlib.util
import io
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
GREY, COLOR, PALETTE, GREY_ALPHA, COLOR_ALPHA = 0, 2, 3, 4, 6
CHANNELS = {GREY: 1, COLOR: 3, PALETTE: 1, GREY_ALPHA: 2, COLOR_ALPHA: 4}
# First column, first row and the steps of the seven passes of an interlaced image
ADAM7 = (
    (0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2),
)  # fmt: skip


def photo(width, height, seed):
    """Colours whose spectrum falls as that of photos: amplitude 1/f, with the finest detail of a lens."""
    generator = np.random.default_rng(seed)
    # A spectrum of a square of limited size, enlarged, and noise on top: large images take long otherwise.
    side = 512
    frequencies = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None, :])
    frequencies[0, 0] = 1
    shape = (3, *frequencies.shape)
    spectrum = generator.normal(size=shape) + 1j * generator.normal(size=shape)
    channels = np.fft.irfft2(spectrum / frequencies, s=(side, side))
    channels = channels[:1] + 0.4 * channels  # Colours go together.
    low, high = np.percentile(channels, (1, 99))
    levels = np.clip((channels - low) / (high - low), 0, 1).transpose(1, 2, 0) * 255
    image = Image.fromarray(levels.astype(np.uint8)).resize((width, height), Image.Resampling.BICUBIC)
    noise = generator.integers(-4, 5, (height, width, 1), dtype=np.int16)
    return np.clip(np.asarray(image, dtype=np.int16) + noise, 0, 255).astype(np.uint8)


def jpeg(pixels, mode="RGB", exif=None, **options):
    image = Image.fromarray(pixels).convert(mode)
    data = io.BytesIO()
    if exif:
        tags = Image.Exif()
        tags[0x0112] = exif
        options["exif"] = tags.tobytes()
    image.save(data, "JPEG", **{"quality": 90, **options})
    return data.getvalue()


def chunk(kind, content):
    check = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)


def png(values, kind, depth, *, interlaced=False, palette=None, transparency=None, exif=None):
    """A PNG file of `values`, [height, width, channels], which are written as they are."""
    height, width = values.shape[:2]
    values = values.reshape(height, width, CHANNELS[kind])
    passes = ADAM7 if interlaced else ((0, 0, 1, 1),)
    rows = b""
    for x, y, across, down in passes:
        part = values[y::down, x::across]
        if part.shape[1]:
            rows += b"".join(filtered(packed(row, depth), index) for index, row in enumerate(part))
    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, interlaced)
    chunks = [chunk(b"IHDR", header)]
    if palette is not None:
        chunks.append(chunk(b"PLTE", palette.astype(np.uint8).tobytes()))
    if transparency is not None:
        chunks.append(chunk(b"tRNS", transparency))
    if exif:
        chunks.append(chunk(b"eXIf", struct.pack("<2sHIHHHIII", b"II", 42, 8, 1, 0x112, 3, 1, exif, 0)))
    chunks += [chunk(b"IDAT", zlib.compress(rows, 6)), chunk(b"IEND", b"")]
    return PNG_SIGNATURE + b"".join(chunks)


def packed(row, depth):
    """The bytes of a row of values."""
    flat = row.reshape(-1)
    if depth == 16:
        return flat.astype(">u2").tobytes()
    bits = np.unpackbits(flat.astype(np.uint8)[:, None], axis=1)[:, 8 - depth :]
    return np.packbits(bits.reshape(-1)).tobytes()


def filtered(row, index):
    """A row with no filter or, every other time, as differences of bytes."""
    if index % 2 == 0:
        return b"\0" + row
    values = np.frombuffer(row, np.uint8)
    return b"\1" + np.concatenate([values[:1], np.diff(values)]).astype(np.uint8).tobytes()


def palette_image(pixels, colors):
    """Indices and a palette."""
    image = Image.fromarray(pixels).quantize(colors)
    return np.asarray(image), np.array(image.getpalette()[: 3 * colors])


def with_channel(pixels, alpha):
    return np.concatenate([pixels, np.broadcast_to(alpha, (*pixels.shape[:2], 1))], axis=2)


def skimage_photos():
    """The sample images that scikit-image's wheel carries, by name; the package is not imported."""
    folder = Path(importlib.util.find_spec("skimage").submodule_search_locations[0]) / "data"
    return {
        f"skimage-{path.name}": path.read_bytes()
        for path in sorted(folder.iterdir())
        if path.suffix in (".png", ".jpg")
    }


def kinds(width, height, seed):
    """A file of each kind, by name."""
    pixels = photo(width, height, seed)
    grey = pixels[:, :, :1]
    deep = pixels.astype(np.uint16) * 257 + 5
    alpha = np.linspace(0, 255, width).astype(np.uint8)[None, :, None]
    few, few_colors = palette_image(pixels, 16)
    many, many_colors = palette_image(pixels, 256)
    files = {
        "444.jpg": jpeg(pixels, subsampling=0),
        "422.jpg": jpeg(pixels, subsampling=1),
        "420.jpg": jpeg(pixels, subsampling=2),
        "rgb.jpg": jpeg(pixels, keep_rgb=True),
        "grey.jpg": jpeg(pixels, "L"),
        "cmyk.jpg": jpeg(pixels, "CMYK"),
        "progressive.jpg": jpeg(pixels, progressive=True),
        "progressive-grey.jpg": jpeg(pixels, "L", progressive=True),
        "restarts.jpg": jpeg(pixels, restart_marker_blocks=3),
        "coarse.jpg": jpeg(pixels, quality=5),
        "1.png": png(grey >> 7, GREY, 1),
        "2.png": png(grey >> 6, GREY, 2),
        "4.png": png(grey >> 4, GREY, 4, interlaced=True),
        "8.png": png(grey, GREY, 8),
        "16.png": png(deep[:, :, :1] >> 7, GREY, 16),
        "rgb.png": png(pixels, COLOR, 8, interlaced=True),
        "rgb-colour-key.png": png(pixels, COLOR, 8, transparency=struct.pack(">HHH", *pixels[0, 0])),
        "rgb16.png": png(deep, COLOR, 16),
        "palette4.png": png(few, PALETTE, 4, palette=few_colors),
        "palette8.png": png(many, PALETTE, 8, palette=many_colors, interlaced=True),
        "palette-alpha.png": png(
            many, PALETTE, 8, palette=many_colors, transparency=bytes(range(0, 256, 2))
        ),
        "grey-alpha.png": png(with_channel(grey, alpha), GREY_ALPHA, 8),
        "rgba.png": png(with_channel(pixels, alpha), COLOR_ALPHA, 8),
        "rgba16.png": png(
            with_channel(deep, alpha.astype(np.uint16) * 256), COLOR_ALPHA, 16, interlaced=True
        ),
        "turned.png": png(pixels, COLOR, 8, exif=6),
    }  # fmt: skip
    for turned in range(1, 9):
        files[f"exif{turned}.jpg"] = jpeg(pixels, exif=turned, subsampling=2)
    return files
