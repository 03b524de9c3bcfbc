"""Files of still pictures: animations, pages, tiles, odd samples, damage, and sizes refused by their header."""

import io
import shutil

import cv2
import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from maskcast.errors import SourceError
from sources import open_source
from sources.picture_file import read_pictures, size_in_header
from sources.video import open_video
from tests import media
from tests.huge import MEGABYTES, huge_jpeg, peak
from tests.paths import DATA

# In the tests' own data, because what reads them cannot write them: 300 x 200 in tiles of 128 (libheif),
# 256 x 128 in two tiles, and the same turned clockwise (libavif). Blue; red at the place that is given.
TILED = {
    "tiles.heic": ((300, 200), (240, 140)),
    "tiles.avif": ((256, 128), (185, 65)),
    "turned.avif": ((128, 256), (62, 185)),
}
LEVELS = [10, 80, 150, 220]


def animation(path, pillow_format=None, milliseconds=(100, 200, 50, 300), **options):
    """Four grey pictures, each of its own length where the format has that."""
    pictures = [Image.new("RGB", (48, 32), (level,) * 3) for level in LEVELS]
    timed = {} if path.suffix == ".tiff" else {"duration": list(milliseconds)}
    pictures[0].save(path, pillow_format, save_all=True, append_images=pictures[1:], **timed, **options)
    return path


def levels(frames):
    return [int(frame.picture.rgb()[16, 24].mean()) for frame in frames]


@pytest.mark.parametrize("name", ["x.webp", "x.png", "x.avif", "x.gif", "gif.png"])
def test_an_animation_gives_all_its_pictures_at_their_own_times(tmp_path, name):
    path = animation(tmp_path / name, "GIF" if "gif" in name else None)
    info, frames, error = media.read(path)
    assert error is None
    assert levels(frames) == pytest.approx(LEVELS, abs=3)
    assert [frame.index for frame in frames] == [0, 1, 2, 3]
    assert media.stamps(frames) == pytest.approx([0, 0.1, 0.3, 0.35])
    assert (info.width, info.height) == (48, 32)


def test_a_tiff_gives_all_its_pages(tmp_path):
    _, frames, error = media.read(animation(tmp_path / "x.tiff"))
    assert error is None
    assert levels(frames) == LEVELS
    assert media.stamps(frames) == pytest.approx([0, 0.04, 0.08, 0.12])


def test_reduced_copies_of_a_page_are_no_pictures(tmp_path):
    path = tmp_path / "pyramid.tif"
    whole, reduced = Image.new("L", (48, 32), 90), Image.new("L", (24, 16), 90)
    reduced.encoderinfo = {"tiffinfo": {254: 1}}
    whole.save(path, save_all=True, append_images=[reduced, whole])
    assert [picture.rgb.shape for picture in read_pictures(path, 10**6)] == [(32, 48, 3)] * 2


def test_the_still_for_those_who_cannot_play_an_apng_is_no_picture(tmp_path):
    path = animation(tmp_path / "x.png", default_image=True, milliseconds=(100, 100, 100))
    _, frames, error = media.read(path)
    assert error is None
    assert levels(frames) == LEVELS[1:]


def test_pictures_with_several_in_a_folder_keep_the_folders_rate(tmp_path):
    Image.new("RGB", (48, 32), (5,) * 3).save(tmp_path / "1.png")
    animation(tmp_path / "2.webp", lossless=True)
    Image.new("RGB", (48, 32), (250,) * 3).save(tmp_path / "3.png")
    _, frames, error = media.read(tmp_path)
    assert error is None
    assert levels(frames) == [5, *LEVELS, 250]
    assert media.stamps(frames) == pytest.approx([number / 25 for number in range(6)])


@pytest.mark.parametrize("name", TILED)
def test_tiles_are_put_together(name):
    size, (x, y) = TILED[name]
    _, [frame], error = media.read(DATA / name)
    assert error is None
    assert (frame.picture.width, frame.picture.height) == size
    pixels = frame.picture.rgb().astype(int)
    assert np.abs(pixels[y, x] - (230, 20, 20)).max() <= 12
    assert np.abs(pixels[5, 5] - (40, 90, 160)).max() <= 12


def test_a_heif_gives_all_its_pictures():
    _, frames, error = media.read(DATA / "several.heic")
    assert error is None
    assert [int(frame.picture.rgb()[24, 32, 0]) for frame in frames] == pytest.approx([40, 100, 160], abs=3)


@pytest.mark.parametrize("name", ["tiles.heic", "tiles.avif"])
def test_what_a_file_holds_counts_and_not_its_name(tmp_path, name):
    for called in ("photo.jpg", "photo.mp4", "photo"):
        shutil.copy(DATA / name, tmp_path / called)
        info, _, error = media.read(tmp_path / called)
        assert (error, (info.width, info.height)) == (None, TILED[name][0])
    pages = animation(tmp_path / "x.tiff").rename(tmp_path / "scan.dat")
    assert levels(media.read(pages)[1]) == LEVELS


@pytest.mark.parametrize("name", ["tiles.heic", "tiles.avif"])
def test_ffmpeg_is_not_believed_that_a_tile_is_the_picture(name):
    with pytest.raises(SourceError, match=r"a photograph in tiles; .* \.heic or \.avif") as raised:
        open_video(str(DATA / name), "x", live=False)
    assert raised.value.exit_code == 3


def test_a_video_by_a_pictures_name_is_not_taken_into_memory(tmp_path):
    for name, head in {"film.jpg": b"\0\0\0\x20ftypisom", "photo.jpg": b"\0\0\0\x20ftypavif", "x.png": b"?"}.items():
        with (tmp_path / name).open("wb") as file:
            file.write(head)
            file.truncate(4 << 30)
        assert peak(tmp_path / name) < MEGABYTES, name
    with pytest.raises(SourceError, match="a picture of 4096 MiB; the most is 1024"):
        next(read_pictures(tmp_path / "photo.jpg", 10**6))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_samples_of_16_bits_lose_the_lower_eight(tmp_path, dtype, suffix):
    path = tmp_path / f"x{suffix}"
    unit = np.iinfo(dtype).max // 255
    cv2.imwrite(str(path), np.arange(256, dtype=dtype).reshape(16, 16) * unit)
    [picture] = read_pictures(path, 256)
    assert np.array_equal(picture.rgb[..., 0].ravel(), np.arange(256))
    assert picture.rgb.shape == (16, 16, 3)


def test_palettes_cmyk_and_one_bit(tmp_path):
    red = Image.new("RGB", (16, 16), (255, 0, 0))
    red.quantize(4).save(tmp_path / "1.png")
    red.convert("CMYK").save(tmp_path / "2.jpg", quality=95)
    red.convert("CMYK").save(tmp_path / "3.tif")
    red.convert("P").save(tmp_path / "4.bmp")
    Image.new("1", (16, 16), 1).save(tmp_path / "5.tif", compression="group4")
    _, frames, error = media.read(tmp_path)
    assert error is None
    colours = [frame.picture.rgb()[8, 8].astype(int) for frame in frames]
    assert np.abs(np.array(colours[:4]) - (255, 0, 0)).max() <= 3
    assert list(colours[4]) == [255, 255, 255]


def test_samples_of_32_bits_are_refused(tmp_path):
    path = tmp_path / "depth.tif"
    Image.new("F", (16, 16)).save(path)
    with pytest.raises(SourceError, match="its samples have 32 bits; convert it to 8 or 16"):
        next(read_pictures(path, 256))


# Damage


def noise(seed=0):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (64, 96, 3), np.uint8))


def test_an_animation_that_is_cut_off_gives_what_there_is_and_says_so(tmp_path):
    path = tmp_path / "x.png"
    noise(0).save(path, save_all=True, append_images=[noise(number) for number in range(1, 4)], duration=100)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 5 // 8])
    _, frames, error = media.read(path)
    assert len(frames) == 2
    assert "1 of 1 images cannot be read" in str(error)
    assert str(error).endswith("x.png: picture 3 is damaged")


def test_a_jpeg_may_lack_its_end_marker_and_nothing_else(tmp_path):
    path = tmp_path / "x.jpg"
    noise().save(path)
    whole = path.read_bytes()
    expected = next(read_pictures(path, 10**6)).rgb
    for cut in (1, 2):
        path.write_bytes(whole[:-cut])
        assert np.array_equal(next(read_pictures(path, 10**6)).rgb, expected)
    for cut in (3, 10, 100, len(whole) // 2):
        path.write_bytes(whole[:-cut])
        with pytest.raises(SourceError, match="damaged"):
            next(read_pictures(path, 10**6))


def test_exif_that_is_no_exif_costs_nothing(tmp_path):
    path = tmp_path / "x.jpg"
    noise().save(path, exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert next(read_pictures(path, 10**6)).rgb.shape == (64, 96, 3)


@pytest.mark.parametrize(
    ("suffix", "options"),
    [
        (".tif", {"compression": "tiff_lzw"}),
        (".tif", {"compression": "tiff_adobe_deflate"}),
        (".tif", {"compression": "jpeg"}),
        (".jpg", {}),
        (".png", {}),
        (".webp", {}),
        (".avif", {}),
    ],
)
def test_damage_says_nothing_on_the_error_output(tmp_path, capfd, suffix, options):
    whole = tmp_path / f"whole{suffix}"
    noise().save(whole, **options)
    data = np.frombuffer(whole.read_bytes(), np.uint8)
    generator = np.random.default_rng(0)
    for number in range(10):
        damaged = data.copy()
        damaged[generator.integers(0, len(data), 20)] = 0xFF
        (tmp_path / f"{number}{suffix}").write_bytes(damaged[: len(data) - 10 * number].tobytes())
    media.read(tmp_path)
    assert capfd.readouterr().err == ""


# Sizes


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif", ".bmp", ".gif", ".avif"])
def test_no_picture_above_the_bound(tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    noise().save(path)
    assert size_in_header(path.read_bytes()) == (96, 64)
    list(read_pictures(path, 96 * 64))
    with pytest.raises(SourceError, match="a picture of 96 x 64 pixels; raise max_pixels, now 6,143"):
        next(read_pictures(path, 96 * 64 - 1))


def test_no_webp_above_the_bound_of_its_reader(tmp_path):
    header = b"WEBPVP8L" + (64).to_bytes(4, "little") + b"\x2f" + (15_999 | 15_999 << 14).to_bytes(4, "little")
    data = header + bytes(59)
    (tmp_path / "x.webp").write_bytes(b"RIFF" + len(data).to_bytes(4, "little") + data)
    with pytest.raises(SourceError, match="pixels; raise max_pixels"):
        next(read_pictures(tmp_path / "x.webp", 64_000_000))


def test_no_tiles_above_the_bound():
    with pytest.raises(SourceError, match="a picture of 300 x 200 pixels"):
        next(read_pictures(DATA / "tiles.heic", 300 * 200 - 1))


def test_a_page_above_the_bound_ends_its_file(tmp_path):
    path = tmp_path / "x.tif"
    Image.new("L", (48, 32)).save(path, save_all=True, append_images=[Image.new("L", (96, 64))])
    _, frames, error = media.read(path, max_pixels=2000)
    assert len(frames) == 1
    assert "picture 2: a picture of 96 x 64 pixels; raise max_pixels, now 2,000" in str(error)


def test_one_picture_above_the_bound_costs_itself_alone(tmp_path):
    for number, size in enumerate([(48, 32), (96, 64), (48, 32)]):
        Image.new("L", size).save(tmp_path / f"{number}.png")
    _, frames, error = media.read(tmp_path, max_pixels=2000)
    assert [frame.index for frame in frames] == [0, 2]
    assert "1 of 3 images cannot be read" in str(error)
    assert str(error).endswith("1.png: a picture of 96 x 64 pixels; raise max_pixels, now 2,000, if it is wanted")


def huge_png():
    small = io.BytesIO()
    Image.new("1", (8, 8)).save(small, "PNG")
    data = bytearray(small.getvalue())
    data[16:24] = (32_768).to_bytes(4, "big") * 2
    data[29:33] = PngImagePlugin._crc32(data[12:29]).to_bytes(4, "big")
    return bytes(data)


def test_nothing_is_allocated_for_a_huge_picture(tmp_path):
    for name, data in {"huge.jpg": huge_jpeg(), "huge.png": huge_png()}.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(SourceError, match=r"a picture of (16200 x 15800|32768 x 32768) pixels"):
            open_source(str(tmp_path / name))
        assert peak(tmp_path / name) < MEGABYTES, name


def test_texts_that_inflate_are_refused(tmp_path):
    text = PngImagePlugin.PngInfo()
    for number in range(80):
        text.add_text(f"k{number}", "x" * 1_000_000, zip=True)
    path = tmp_path / "x.png"
    noise().save(path, pnginfo=text)
    with pytest.raises(SourceError, match="damaged"):
        next(read_pictures(path, 10**6))
