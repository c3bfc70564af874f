"""What `decode` shows of each kind of file, compared with what was drawn."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import warnings
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps

from tbgrid.choices import Fit
from tbgrid.embedding import decode as decode_module
from tbgrid.embedding.decode import Decoded, ImageError, decode, decode_many, register_heif
from tbgrid.photos import Photo, SkippedFile
from tbgrid.sources.folders import find_photos
from tbgrid.types import UInt8Array
from tests.support.values import present

SIDE = 32
HERE = (SIDE, SIDE)
TO_STORED = {  # how an upright picture lies in a file of that EXIF orientation
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
ORIENTATION = 0x0112


def scene(width: int, height: int) -> Image.Image:
    """No two of its turned and mirrored copies are alike, and it is smooth enough for JPEG."""
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    corner = 255 * np.exp(-8 * (x**2 + (y - 0.3) ** 2))
    pixels = np.stack([220 * x, 60 + 150 * y**2, corner], axis=2)
    return Image.fromarray(np.rint(pixels).astype(np.uint8))


def difference(a: UInt8Array, b: UInt8Array) -> tuple[float, int]:
    """The mean and the greatest difference of two pictures' values."""
    assert a.shape == b.shape
    apart = np.abs(a.astype(int) - b.astype(int))
    return float(apart.mean()), int(apart.max())


def seen(path: Path, size: tuple[int, int] = HERE, fit: Fit = "squash") -> UInt8Array:
    return decode(path, [size], fit).views[0]


# --- EXIF orientation ------------------------------------------------------------------------

FORMATS: dict[str, dict[str, Any]] = {
    ".jpg": {"quality": 95, "subsampling": 0},
    ".png": {},
    ".tif": {},
    ".webp": {"lossless": True},
    ".heic": {"quality": 95},
}
FRAMES: list[tuple[Fit, tuple[int, int]]] = [
    ("crop", (48, 48)),
    ("crop", (30, 75)),
    ("pad", (40, 40)),
    ("squash", (20, 50)),
]


def exif(orientation: int) -> bytes:
    tags = Image.Exif()
    tags[ORIENTATION] = orientation
    return tags.tobytes()


def needs_heif() -> None:
    pytest.importorskip("pillow_heif", reason="HEIC is an extra")
    assert register_heif()


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("orientation", TO_STORED)
def test_every_orientation_is_shown_upright(suffix: str, orientation: int, tmp_path: Path) -> None:
    if suffix == ".heic":
        needs_heif()
    upright = scene(173, 121)
    upright.save(tmp_path / "upright.png")
    turn = TO_STORED[orientation]
    path = tmp_path / f"stored{suffix}"
    stored = upright.transpose(turn) if turn is not None else upright
    stored.save(path, exif=exif(orientation), **FORMATS[suffix])
    for fit, size in FRAMES:
        got, want = decode(path, [size], fit), decode(tmp_path / "upright.png", [size], fit)
        assert (got.width, got.height) == (173, 121)
        mean, most = difference(got.views[0], want.views[0])
        assert mean < 1.5, fit
        assert most < 12, fit


@pytest.mark.parametrize(
    ("side", "filter"), [(127, Image.Resampling.LANCZOS), (128, Image.Resampling.BILINEAR)]
)
def test_large_views_are_scaled_linearly(
    side: int, filter: Image.Resampling, tmp_path: Path
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (150, 150, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    want = np.asarray(Image.fromarray(noise).resize((side, side), filter))
    assert np.array_equal(seen(tmp_path / "noise.png", (side, side)), want)


@pytest.mark.parametrize("value", [0, 9, 255])
def test_an_orientation_that_means_nothing_is_ignored(value: int, tmp_path: Path) -> None:
    scene(60, 40).save(tmp_path / "odd.png", exif=exif(value))
    scene(60, 40).save(tmp_path / "plain.png")
    assert np.array_equal(seen(tmp_path / "odd.png"), seen(tmp_path / "plain.png"))


# --- Colour ----------------------------------------------------------------------------------


def profile(space: bytes, connection: bytes, tags: dict[bytes, bytes]) -> bytes:
    """An ICC profile, version 2, of a device class that may be embedded (ICC.1:2001-04)."""
    table, body = b"", b""
    for name, value in tags.items():
        offset = 128 + 4 + 12 * len(tags) + len(body)
        table += struct.pack(">4sII", name, offset, len(value))
        body += value + b"\0" * (-len(value) % 4)
    size = 128 + 4 + len(table) + len(body)
    white = struct.pack(">III", 0xF6D6, 0x10000, 0xD32D)
    head = struct.pack(">I4sI4s4s4s12x4s", size, b"none", 0x02400000, b"scnr", space, connection,
                       b"acsp").ljust(68, b"\0") + white  # fmt: skip
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def swapped_primaries() -> bytes:
    """sRGB in which the first channel means green and the second red."""
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return srgb.replace(b"rXYZ", b"tmp.").replace(b"gXYZ", b"rXYZ").replace(b"tmp.", b"gXYZ")


def linear_grey() -> bytes:
    curve = struct.pack(">4s4xI", b"curv", 0)  # no entry: the identity
    white = struct.pack(">4s4xIII", b"XYZ ", 0xF6D6, 0x10000, 0xD32D)
    return profile(b"GRAY", b"XYZ ", {b"wtpt": white, b"kTRC": curve})


def inks(shown: tuple[int, int, int]) -> bytes:
    """CMYK in which every ink but black, and any mixture, looks like `shown`."""
    to_lab = ImageCms.buildTransform(
        ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB"
    )
    pixel = ImageCms.applyTransform(Image.new("RGB", (1, 1), shown), to_lab)
    assert pixel is not None
    lightness, a, b = np.frombuffer(pixel.tobytes(), np.uint8)[:3]
    lab = bytes([lightness, a ^ 128, b ^ 128])  # Pillow's a and b are signed, ICC's offset by 128
    unity = struct.pack(">9I", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    ramp = bytes(range(256))
    # Black where there is black ink, the last of the four: viewers fit the darkest ink to black.
    corners = b"\xff\x80\x80" + b"\x00\x80\x80" + (lab + b"\x00\x80\x80") * 7
    table = struct.pack(">4s4xBBBx", b"mft1", 4, 3, 2) + unity + ramp * 4 + corners + ramp * 3
    return profile(b"CMYK", b"Lab ", {b"A2B0": table})


def test_rgb_goes_to_srgb_by_its_profile(tmp_path: Path) -> None:
    picture = scene(SIDE, SIDE)
    red, green, blue = picture.split()
    swapped = Image.merge("RGB", (green, red, blue))
    swapped.save(tmp_path / "a.png", icc_profile=swapped_primaries())
    swapped.save(tmp_path / "a.tif", icc_profile=swapped_primaries())
    alpha = Image.new("L", HERE, 255)
    Image.merge("RGBA", (green, red, blue, alpha)).save(
        tmp_path / "b.png", icc_profile=swapped_primaries()
    )
    for name in ("a.png", "a.tif", "b.png"):
        assert difference(seen(tmp_path / name), np.asarray(picture))[1] <= 2, name


@pytest.mark.parametrize(
    ("dtype", "suffix", "value"), [("uint8", ".png", 128), ("uint16", ".png", 128 * 257)]
)
def test_grey_goes_to_srgb_by_its_profile(
    dtype: str, suffix: str, value: int, tmp_path: Path
) -> None:
    pixels = np.full(HERE, value, dtype)
    pixels[0, 0] = np.iinfo(dtype).max
    path = tmp_path / f"grey{suffix}"
    Image.fromarray(pixels).save(path, icc_profile=linear_grey())
    assert seen(path)[9, 9].tolist() == [188, 188, 188]  # half of the light in sRGB's curve
    Image.fromarray(pixels).save(path, icc_profile=linear_grey(), transparency=0)
    assert seen(path)[9, 9].tolist() == [188, 188, 188]


@pytest.mark.parametrize("suffix", [".jpg", ".tif"])
def test_cmyk_goes_to_srgb_by_its_profile(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"cmyk{suffix}"
    shown = (200, 100, 50)
    Image.new("CMYK", HERE, (255, 0, 0, 0)).save(path, icc_profile=inks(shown))
    assert difference(seen(path), np.full((*HERE, 3), shown, np.uint8))[1] <= 4


@pytest.mark.parametrize("suffix", [".jpg", ".tif"])
@pytest.mark.parametrize(
    ("ink", "shown"),
    [
        ((0, 0, 0, 0), (255, 255, 255)),
        ((0, 0, 0, 255), (0, 0, 0)),
        ((255, 0, 0, 0), (0, 255, 255)),
        ((0, 255, 255, 0), (255, 0, 0)),
    ],
)
def test_cmyk_without_a_profile(
    suffix: str, ink: tuple[int, ...], shown: tuple[int, ...], tmp_path: Path
) -> None:
    path = tmp_path / f"cmyk{suffix}"
    Image.new("CMYK", HERE, ink).save(path)
    # Adobe's CMYK JPEGs hold the values inverted, and say so by their marker.
    assert (b"Adobe" in path.read_bytes()) == (suffix == ".jpg")
    assert difference(seen(path), np.full((*HERE, 3), shown, np.uint8))[1] <= 2


def test_lab(tmp_path: Path) -> None:
    picture = scene(SIDE, SIDE)
    to_lab = ImageCms.buildTransform(
        ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB"
    )
    lab = ImageCms.applyTransform(picture, to_lab)
    assert lab is not None
    embedded = lab.info.pop("icc_profile")
    lab.save(tmp_path / "plain.tif")
    lab.save(tmp_path / "profile.tif", icc_profile=embedded)
    for name in ("plain.tif", "profile.tif"):
        with Image.open(tmp_path / name) as opened:
            assert opened.mode == "LAB"
            assert ("icc_profile" in opened.info) == (name == "profile.tif")
        assert difference(seen(tmp_path / name), np.asarray(picture))[0] < 2


@pytest.mark.parametrize("embedded", [linear_grey(), inks((9, 9, 9)), b"no profile at all"])
def test_a_profile_that_does_not_fit_is_ignored(embedded: bytes, tmp_path: Path) -> None:
    picture = scene(SIDE, SIDE)
    picture.save(tmp_path / "a.png", icc_profile=embedded)
    assert np.array_equal(seen(tmp_path / "a.png"), np.asarray(picture))


# --- More than 8 bits, less than 8 bits, transparency ----------------------------------------


def png(
    depth: int, colour: int, rows: bytes, size: tuple[int, int] = HERE, extra: bytes = b""
) -> bytes:
    """A PNG of kinds that Pillow does not write. `rows`: the data, filter bytes included."""

    def chunk(name: bytes, data: bytes) -> bytes:
        check = zlib.crc32(name + data)
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", *size, depth, colour, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    transparent = chunk(b"tRNS", extra) if extra else b""
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + transparent + body


def png_rows(pixels: np.ndarray) -> bytes:
    return b"".join(b"\0" + row.tobytes() for row in pixels.astype(">u2"))


RAMP = np.tile(np.linspace(0, 255, SIDE).round(), (SIDE, 1))  # what should be seen, 0 to 255


@pytest.mark.parametrize(
    ("name", "pixels"),
    [
        ("16.png", (RAMP * 257).astype(np.uint16)),
        ("16.tif", (RAMP * 257).astype(np.uint16)),
        ("12-in-16.png", (RAMP * 4095 / 255).astype(np.uint16)),
        ("8-in-16.tif", RAMP.astype(np.uint16)),
        ("32.tif", (RAMP * 257).astype(np.int32)),
        ("32-signed.tif", (RAMP * 1000 - 99_000).astype(np.int32)),
        ("32-large.tif", (RAMP * 1_000_000).astype(np.int32)),
        ("float-1.tif", (RAMP / 255).astype(np.float32)),
        ("float-255.tif", RAMP.astype(np.float32)),
        ("float-signed.tif", (RAMP / 100 - 1).astype(np.float32)),
    ],
)
def test_grey_of_more_than_8_bits(name: str, pixels: np.ndarray, tmp_path: Path) -> None:
    Image.fromarray(pixels).save(tmp_path / name)
    assert difference(seen(tmp_path / name)[:, :, 0], RAMP.astype(np.uint8))[1] <= 1


def test_grey_of_16_bits_of_either_byte_order(tmp_path: Path) -> None:
    big = Image.frombytes("I;16B", HERE, (RAMP * 257).astype(">u2").tobytes())
    big.save(tmp_path / "big.tif")
    with Image.open(tmp_path / "big.tif") as opened:
        assert opened.mode == "I;16B"
    assert difference(seen(tmp_path / "big.tif")[:, :, 0], RAMP.astype(np.uint8))[1] <= 1


def test_a_dark_16_bit_picture_stays_dark(tmp_path: Path) -> None:
    Image.fromarray((RAMP * 64).astype(np.uint16)).save(tmp_path / "dark.png")
    assert difference(seen(tmp_path / "dark.png")[:, :, 0], (RAMP / 4).astype(np.uint8))[1] <= 1


def test_values_that_are_not_finite_are_black_or_white(tmp_path: Path) -> None:
    pixels = (RAMP / 255).astype(np.float32)
    pixels[0, :3] = np.nan, np.inf, -np.inf
    Image.fromarray(pixels).save(tmp_path / "holes.tif")
    Image.fromarray(np.full(HERE, np.nan, np.float32)).save(tmp_path / "nothing.tif")
    got = seen(tmp_path / "holes.tif")[:, :, 0]
    assert got[0, :3].tolist() == [0, 255, 0]
    assert difference(got[1:], RAMP[1:].astype(np.uint8))[1] <= 1
    assert seen(tmp_path / "nothing.tif").max() == 0


def test_colour_of_16_bits(tmp_path: Path) -> None:
    picture = np.asarray(scene(SIDE, SIDE))
    (tmp_path / "a.png").write_bytes(png(16, 2, png_rows(picture.astype(np.uint16) * 257)))
    assert np.array_equal(seen(tmp_path / "a.png"), picture)


def clear_left(mode: str) -> Image.Image:
    """The left half transparent black or red, the right half opaque red (or dark grey)."""
    pixels = np.zeros((*HERE, 4), np.uint8)
    pixels[:, :, 0] = 200
    pixels[:, SIDE // 2 :, 3] = 255
    return Image.fromarray(pixels).convert(mode)


def save_palette(path: Path, transparency: int | bytes = 0) -> None:
    picture = Image.new("P", HERE)
    picture.putpalette([0, 0, 0, 200, 0, 0])
    picture.paste(1, (SIDE // 2, 0, SIDE, SIDE))
    picture.save(path, transparency=transparency)


def save_palette_of_alphas(path: Path) -> None:
    save_palette(path, b"\x00\xff")


def save_palette_and_alpha(path: Path) -> None:
    picture = Image.new("P", HERE)
    picture.putpalette([200, 0, 0])
    picture = picture.convert("PA")
    picture.putalpha(clear_left("RGBA").getchannel("A"))
    assert picture.mode == "PA"
    picture.save(path)


def save_key(mode: str, clear: Any, red: Any) -> Callable[[Path], None]:
    def save(path: Path) -> None:
        picture = Image.new(mode, HERE, clear)
        picture.paste(red, (SIDE // 2, 0, SIDE, SIDE))
        picture.save(path, transparency=clear)

    return save


def save_16_bits_with_key(path: Path) -> None:
    pixels = np.full(HERE, 77, np.uint16)
    pixels[:, SIDE // 2 :] = 51_400
    path.write_bytes(png(16, 0, png_rows(pixels), extra=struct.pack(">H", 77)))


@pytest.mark.parametrize(
    ("name", "save", "right"),
    [
        ("rgba.png", lambda path: clear_left("RGBA").save(path), (200, 0, 0)),
        ("rgba.webp", lambda path: clear_left("RGBA").save(path, lossless=True), (200, 0, 0)),
        ("rgba.tif", lambda path: clear_left("RGBA").save(path), (200, 0, 0)),
        ("la.png", lambda path: clear_left("LA").save(path), (60, 60, 60)),
        ("pa.tif", save_palette_and_alpha, (200, 0, 0)),
        ("palette.png", save_palette, (200, 0, 0)),
        ("palette.gif", save_palette, (200, 0, 0)),
        ("alphas.png", save_palette_of_alphas, (200, 0, 0)),
        ("1.png", save_key("1", 0, 1), (255, 255, 255)),
        ("grey.png", save_key("L", 7, 60), (60, 60, 60)),
        ("rgb.png", save_key("RGB", (1, 2, 3), (200, 0, 0)), (200, 0, 0)),
        ("16.png", save_16_bits_with_key, (200, 200, 200)),
    ],
)
def test_transparency_shows_white(
    name: str, save: Callable[[Path], None], right: tuple[int, int, int], tmp_path: Path
) -> None:
    save(tmp_path / name)
    got = seen(tmp_path / name)
    assert (got[:, : SIDE // 2] == 255).all()
    assert (got[:, SIDE // 2 :] == right).all()


def test_half_transparent_is_mixed_with_white(tmp_path: Path) -> None:
    Image.new("RGBA", HERE, (255, 0, 0, 128)).save(tmp_path / "a.png")
    assert seen(tmp_path / "a.png")[5, 5].tolist() == [255, 127, 127]


def test_one_bit(tmp_path: Path) -> None:
    stripes = np.tile([0, 255], (SIDE, SIDE // 2)).astype(np.uint8)
    Image.fromarray(stripes).convert("1").save(tmp_path / "a.png")
    assert np.array_equal(seen(tmp_path / "a.png")[:, :, 1], stripes)
    smaller = seen(tmp_path / "a.png", (8, 8))
    assert smaller.min() > 100, "scaled by its greys, not by picking pixels"
    assert smaller.max() < 155


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png", ".tif"])
def test_the_first_frame_is_shown(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"moving{suffix}"
    frames = [Image.new("RGB", HERE, colour) for colour in ("red", "blue", "green")]
    frames[0].save(path, save_all=True, append_images=frames[1:])
    with Image.open(path) as opened:
        assert getattr(opened, "n_frames", 1) == 3
    assert difference(seen(path), np.full((*HERE, 3), (255, 0, 0), np.uint8))[1] <= 2


def test_heic_with_a_thumbnail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needs_heif()
    path = tmp_path / "phone.heic"
    scene(600, 400).save(path, quality=95, thumbnails=[160])
    # As in a process in which nobody has told Pillow about HEIC yet.
    monkeypatch.setattr(Image, "ID", [name for name in Image.ID if name != "HEIF"])
    register_heif.cache_clear()
    got = decode(path, [(64, 96)])
    assert (got.width, got.height) == (600, 400)
    assert difference(got.views[0], np.asarray(scene(96, 64)))[0] < 4


# --- What is refused -------------------------------------------------------------------------


def jpeg(width: int = 200, height: int = 160) -> bytes:
    buffer = io.BytesIO()
    scene(width, height).save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("cut.jpg", jpeg()[:-200], "truncated"),
        ("head.jpg", jpeg()[:300], "Pillow"),
        ("cut.png", png(16, 0, png_rows(RAMP))[:90], "truncated"),
        ("empty.jpg", b"", "empty file"),
        ("text.png", b"not a picture\n", "not a picture that Pillow can open"),
        ("bomb.png", png(8, 0, b"", (1 << 20, 1 << 20)), "decompression bomb"),
        ("no-pixels.png", png(8, 0, b"", HERE), "Pillow cannot decode it"),
    ],
)
def test_what_holds_no_picture_is_refused(
    name: str, content: bytes, reason: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    assert_refused(tmp_path / name, reason)


def assert_refused(path: Path, reason: str) -> None:
    with pytest.raises(ImageError, match=reason) as caught:
        decode(path, [HERE])
    assert_reason(str(caught.value), path)


def assert_reason(reason: str, path: Path) -> None:
    assert reason
    assert reason.isprintable(), "one line"
    assert str(path.parent) not in reason


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    assert_refused(tmp_path, "not a regular file")
    assert_refused(tmp_path / "missing.jpg", "cannot be read: No such file")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no FIFOs")
def test_a_fifo_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    assert_refused(tmp_path / "pipe.jpg", "not a regular file")


def test_heic_without_its_library_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "phone.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    monkeypatch.setattr(decode_module, "register_heif", lambda: False)
    assert_refused(tmp_path / "phone.heic", r"pip install 'tbgrid\[heic\]'")


# --- Framing and scaling ---------------------------------------------------------------------


@pytest.mark.parametrize("fit", ["crop", "pad", "squash"])
@pytest.mark.parametrize("size", [(1, 1), (20_000, 10), (10, 20_000), (3, 200)])
@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_any_shape_can_be_framed(
    fit: Fit, size: tuple[int, int], suffix: str, tmp_path: Path
) -> None:
    Image.new("RGB", size, (250, 10, 10)).save(tmp_path / f"a{suffix}", quality=95)
    got = decode(tmp_path / f"a{suffix}", [(64, 64), (7, 30)], fit)
    assert (got.width, got.height) == size
    assert [view.shape for view in got.views] == [(64, 64, 3), (7, 30, 3)]
    middle = got.views[0][31:33, 31:33].reshape(-1, 3)
    assert np.abs(middle - np.array([250, 10, 10])).max(axis=1).min() < 4


@pytest.mark.parametrize("fit", ["crop", "pad"])
def test_rounding_never_leads_out_of_a_picture(fit: Fit, tmp_path: Path) -> None:
    """(width / 224) * 224 is more than the width for these, in floating point."""
    for width in (29, 58, 116, 123):
        assert width / 224 * 224 > width
        Image.new("L", (width, 200)).save(tmp_path / "a.png")
        assert seen(tmp_path / "a.png", (224, 224), fit).shape == (224, 224, 3)
        assert seen(tmp_path / "a.png", (200, 123), fit).shape == (200, 123, 3)


def three_squares(path: Path) -> None:
    picture = Image.new("RGB", (180, 60))
    for column, colour in enumerate([(255, 0, 0), (0, 255, 0), (0, 0, 255)]):
        picture.paste(colour, (60 * column, 0, 60 * column + 60, 60))
    picture.save(path)


@pytest.mark.parametrize(
    ("fit", "size", "rows"),
    [  # R, G, B and W(hite) in the middle of each ninth of the view
        ("crop", (60, 60), ["GGG", "GGG", "GGG"]),
        ("crop", (30, 90), ["RGB", "RGB", "RGB"]),
        ("squash", (60, 60), ["RGB", "RGB", "RGB"]),
        ("pad", (60, 60), ["WWW", "RGB", "WWW"]),
        ("pad", (90, 30), ["WWW", "RGB", "WWW"]),
        ("pad", (20, 180), ["WGW", "WGW", "WGW"]),
    ],
)
def test_the_fit_says_what_is_seen(
    fit: Fit, size: tuple[int, int], rows: list[str], tmp_path: Path
) -> None:
    three_squares(tmp_path / "a.png")
    view = seen(tmp_path / "a.png", size, fit)
    letters = {(255, 0, 0): "R", (0, 255, 0): "G", (0, 0, 255): "B", (255, 255, 255): "W"}
    places = [[size[axis] * part // 6 for part in (1, 3, 5)] for axis in (0, 1)]
    got = ["".join(letters[tuple(view[y, x].tolist())] for x in places[1]) for y in places[0]]
    assert got == rows


def test_a_picture_is_opened_once_for_all_its_sizes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene(300, 200).save(tmp_path / "a.jpg")
    opened = []
    real = Image.open

    def counting(*arguments: Any, **options: Any) -> Any:
        opened.append(arguments)
        return real(*arguments, **options)

    monkeypatch.setattr(Image, "open", counting)
    got = decode(tmp_path / "a.jpg", [(64, 64), (32, 32), (64, 64)])
    assert len(opened) == 1
    assert [view.shape[0] for view in got.views] == [64, 32, 64]
    assert np.array_equal(got.views[0], got.views[2])


@pytest.mark.parametrize("size", [(2003, 1501), (1501, 2003), (1024, 768)])
@pytest.mark.parametrize("kind", ["JPEG", "MPO"])
def test_a_large_jpeg_looks_as_if_decoded_in_full(
    size: tuple[int, int], kind: str, tmp_path: Path
) -> None:
    path = tmp_path / "large.jpg"
    options = {"save_all": True, "append_images": [scene(64, 64)]} if kind == "MPO" else {}
    scene(*size).save(path, kind, quality=92, **options)
    with Image.open(path) as opened:
        assert opened.format == kind
        opened.convert("RGB").save(tmp_path / "full.png", compress_level=1)
    got = decode(path, [(64, 64)])
    assert (got.width, got.height) == size
    mean, most = difference(got.views[0], seen(tmp_path / "full.png", (64, 64), "crop"))
    assert mean < 0.5
    assert most < 5


@pytest.mark.parametrize("side", [64, 65, 68, 71, 100])
def test_a_scaled_jpeg_is_not_stretched(side: int, tmp_path: Path) -> None:
    """A JPEG scaled to an eighth has a last pixel for a part of a block: 65 px are 8.1, not 9."""
    ramp = np.tile(np.linspace(0, 255, side), (side, 1)).astype(np.uint8)
    Image.fromarray(ramp).save(tmp_path / "a.jpg", quality=98)
    Image.fromarray(ramp).save(tmp_path / "a.png")
    got, want = seen(tmp_path / "a.jpg", (8, 8)), seen(tmp_path / "a.png", (8, 8))
    assert difference(got, want)[1] < 6


# --- Many files ------------------------------------------------------------------------------


def decoded(
    folder: Path, sizes: Sequence[tuple[int, int]], workers: int = 2
) -> list[tuple[Photo, Decoded | SkippedFile]]:
    return list(decode_many(find_photos(folder).photos, sizes, workers=workers))


def pillow_opens(path: Path) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with Image.open(path) as image:
                image.load()
        except Exception:  # damaged files raise anything
            return False
    return True


def test_odd_files_are_shown_or_refused_with_a_reason(data: Path) -> None:
    """Test images of Pillow and of metadata-extractor: rare, broken and hostile ones."""
    found = decoded(data / "odd", [(64, 64)])
    assert len(found) > 150
    for photo, result in found:
        assert isinstance(result, Decoded) == pillow_opens(present(photo.path)), photo.name
        if isinstance(result, SkippedFile):
            assert result.name == photo.name
            assert_reason(result.reason, present(photo.path))
        else:
            assert result.views[0].shape == (64, 64, 3)
            assert min(result.width, result.height) >= 1


def odd(data: Path, name: str) -> UInt8Array:
    (path,) = (data / "odd").glob(f"*-{name}")
    return seen(path, (64, 64))


def test_odd_files_look_as_in_a_good_viewer(data: Path) -> None:
    flipped = [odd(data, f"hopper_orientation_{n}.jpg") for n in (2, 3, 4, 5, 7, 8)]
    for other in flipped[1:]:
        assert difference(other, flipped[0])[0] < 12
    red = odd(data, "pil_sample_cmyk.jpg")  # Adobe's inverted CMYK, in YCCK
    assert np.median(red[:, :, 0]) < 10, "black ground"
    assert (red[:, :, 0] > 200).mean() > 0.05, "red letters"
    assert red[:, :, 1].max() < 90
    for tiff in ("tiff_strip_cmyk_jpeg.tif", "tiff_tiled_cmyk_jpeg.tif"):
        assert difference(odd(data, tiff), red)[0] < 3
    plain = odd(data, "16bit.deflate.tif")
    assert np.ptp(plain) > 10, "12 bits in 16 are not black"
    for same in ("16bit.r.tif", "16bit.MM.deflate.tif"):  # other rows in a strip, other byte order
        assert np.array_equal(odd(data, same), plain)
    lab, rgb = odd(data, "hopper.Lab.tif"), odd(data, "hopper.iccprofile.tif")
    assert difference(lab, rgb)[0] < 4


def test_camera_photos_are_upright_and_have_their_size(data: Path) -> None:
    found = decoded(data / "large", [(64, 64)], workers=1)
    assert len(found) == 6
    orientations = set()
    for photo, got in found:
        assert isinstance(got, Decoded)
        with Image.open(present(photo.path)) as image:
            orientations.add(image.getexif().get(ORIENTATION, 1))
            upright = ImageOps.exif_transpose(image)
        assert (got.width, got.height) == upright.size
        want = ImageOps.fit(upright.convert("RGB"), (64, 64), Image.Resampling.LANCZOS)
        assert difference(got.views[0], np.asarray(want))[0] < 2, photo.name
    assert orientations == {1, 6, 8}


@pytest.mark.skipif(sys.platform != "linux", reason="reads the process's peak from /proc")
def test_camera_photos_are_never_whole_in_memory(data: Path) -> None:
    """16 megapixels are 48 MB as a bitmap; scaled to an eighth they are 0.8 MB."""
    program = (
        "import re, sys\n"
        "from pathlib import Path\n"
        "from tbgrid.embedding.decode import decode\n"
        "def peak():\n"
        "    status = Path('/proc/self/status').read_text()\n"
        "    return int(re.search(r'VmHWM:\\s+(\\d+)', status)[1]) / 1024\n"
        "decode(sys.argv[1], [(224, 224)])\n"
        "before = peak()\n"
        "for path in sys.argv[2:]: decode(path, [(224, 224), (64, 64)])\n"
        "print(peak() - before)"
    )
    large = sorted(map(str, (data / "large").iterdir()))
    small = str(next((data / "photos").rglob("*.jpg")))
    done = subprocess.run(
        [sys.executable, "-c", program, small, *large], capture_output=True, text=True, check=True
    )
    assert float(done.stdout) < 12
