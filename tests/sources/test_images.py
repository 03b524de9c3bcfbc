"""Folders, globs and single images."""

import os
import struct
from fractions import Fraction

import cv2
import numpy as np
import pytest
from PIL import Image

from maskcast.errors import SourceError
from maskcast.picture import Colour
from sources import expand, open_source
from sources.settings import SourceSettings

RED = (255, 0, 0)


def write(path, colour=RED, size=(40, 60)):
    """An image in one colour, `size` as (height, width); returns its path."""
    array = np.zeros((*size, 3), np.uint8)
    array[:] = colour
    assert cv2.imwrite(str(path), array[:, :, ::-1])
    return path


def greys(frames):
    return [int(frame.picture.rgb()[0, 0, 0]) for frame in frames]


def test_a_folder_in_natural_order(tmp_path):
    for number in (1, 10, 2, 33):
        write(tmp_path / f"shot{number}.png", (number, number, number))
    (tmp_path / "notes.txt").write_text("not an image")
    (tmp_path / "folder.jpg").mkdir()
    source = open_source(str(tmp_path))
    info, frames = source.info, list(source)
    assert greys(frames) == [1, 2, 10, 33]
    assert [frame.index for frame in frames] == [0, 1, 2, 3]
    assert [frame.pts for frame in frames] == pytest.approx([0, 0.04, 0.08, 0.12])
    assert (info.width, info.height, info.frame_count, info.live, info.audio) == (60, 40, 4, False, ())
    assert (info.frame_rate, info.time_base) == (25, Fraction(1, 25))
    assert info.stream == tmp_path.name


@pytest.mark.parametrize("extension", ["png", "jpg", "bmp", "webp", "tiff", "JPG"])
def test_every_format_and_a_glob(tmp_path, extension):
    for number in range(3):
        write(tmp_path / f"{number}.{extension}")
    write(tmp_path / "other.jpeg", (0, 0, 255))
    frames = list(open_source(str(tmp_path / f"*.{extension}")))
    assert len(frames) == 3
    assert np.abs(frames[0].picture.rgb().astype(int) - RED).max() <= 3


def test_a_single_image_whose_name_looks_like_a_glob(tmp_path):
    path = write(tmp_path / "plan [1].png")
    write(tmp_path / "plan 1.png", (0, 255, 0))
    frames = list(open_source(str(path)))
    assert len(frames) == 1
    assert tuple(frames[0].picture.rgb()[0, 0]) == RED


def test_images_of_differing_sizes_keep_their_own(tmp_path):
    write(tmp_path / "1.png", size=(40, 60))
    write(tmp_path / "2.png", size=(31, 17))
    source = open_source(str(tmp_path))
    shapes = [frame.picture.rgb().shape[:2] for frame in source]
    assert shapes == [(40, 60), (31, 17)]
    assert (source.info.height, source.info.width) == (40, 60)


def test_planes_are_limited_range_bt709(tmp_path):
    write(tmp_path / "1.png", RED, size=(31, 17))
    picture = next(iter(open_source(str(tmp_path)))).picture
    planes = picture.yuv420p()
    assert picture.colour == Colour("bt709")
    assert planes.y.shape == (31, 17)
    assert planes.u.shape == planes.v.shape == (16, 9)
    # The textbook's values for pure red.
    for plane, expected in zip(planes, (63, 102, 240), strict=True):
        assert np.abs(plane.astype(int) - expected).max() <= 1
        assert not plane.flags.writeable


def test_exif_orientation_is_applied(tmp_path):
    array = np.zeros((40, 60, 3), np.uint8)
    array[:, :30] = 255  # white on the left
    path = tmp_path / "phone.jpg"
    assert cv2.imwrite(str(path), array)
    data = path.read_bytes()
    ifd = b"II*\0\x08\0\0\0" + struct.pack("<HHHIHHI", 1, 0x0112, 3, 1, 6, 0, 0)  # 6: turn clockwise
    exif = b"Exif\0\0" + ifd
    path.write_bytes(data[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + data[2:])
    picture = next(iter(open_source(str(path)))).picture
    assert (picture.width, picture.height) == (40, 60)
    assert picture.rgb()[:25].min() > 200  # white on top
    assert picture.rgb()[35:].max() < 50


def test_deep_grey_and_transparent_images_become_rgb(tmp_path):
    cv2.imwrite(str(tmp_path / "1.png"), np.full((8, 8), 0x8000, np.uint16))
    cv2.imwrite(str(tmp_path / "2.png"), np.full((8, 8, 4), 128, np.uint8))
    frames = list(open_source(str(tmp_path)))
    assert greys(frames) == [128, 128]
    assert all(frame.picture.rgb().shape == (8, 8, 3) for frame in frames)


def test_broken_images_are_skipped_counted_and_told_at_the_end(tmp_path):
    for number in range(4):
        write(tmp_path / f"{number}.png", (number, number, number))
    (tmp_path / "1.png").write_bytes(b"not a png")
    (tmp_path / "2.png").write_bytes(b"")
    source = iter(open_source(str(tmp_path)))
    frames = [next(source), next(source)]
    with pytest.raises(SourceError, match=r"2 of 4 images cannot be read; the first: .*1\.png") as raised:
        next(source)
    assert greys(frames) == [0, 3]
    assert [frame.index for frame in frames] == [0, 3]
    assert raised.value.exit_code == 3


def test_nothing_to_read(tmp_path):
    with pytest.raises(SourceError, match="no images"):
        open_source(str(tmp_path))
    with pytest.raises(SourceError, match="no images"):
        open_source(str(tmp_path / "*.png"))
    with pytest.raises(SourceError, match="no such file"):
        open_source(str(tmp_path / "missing.png"))
    (tmp_path / "broken.png").write_bytes(b"x")
    with pytest.raises(SourceError, match="none of the 1 images can be read"):
        open_source(str(tmp_path))


def test_a_folder_that_may_not_be_read(tmp_path):
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    tmp_path.chmod(0)
    try:
        with pytest.raises(SourceError, match="permission denied"):
            open_source(str(tmp_path))
        assert expand(str(tmp_path)) == [str(tmp_path)]
    finally:
        tmp_path.chmod(0o700)


def test_closing_ends_the_iteration(tmp_path):
    for number in range(3):
        write(tmp_path / f"{number}.png")
    source = open_source(str(tmp_path))
    iterator = iter(source)
    next(iterator)
    source.close()
    assert list(iterator) == []


def test_live_images_are_paced(tmp_path):
    for number in range(4):
        write(tmp_path / f"{number}.png")
    source = open_source(str(tmp_path), SourceSettings(live=True))
    frames = list(source)
    assert source.info.live
    assert (frames[-1].captured_at - frames[0].captured_at).total_seconds() >= 0.1


def names(spec):
    return [frame.file_name for frame in open_source(str(spec))]


def test_frames_carry_the_name_of_their_file(tmp_path, monkeypatch):
    for name in ("000001.jpg", "000002.jpg", "b/000003.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write(tmp_path / name)
    assert names(tmp_path) == ["000001.jpg", "000002.jpg"]
    assert names(tmp_path / "**/*.jpg") == ["000001.jpg", "000002.jpg", "b/000003.jpg"]
    assert names(tmp_path / "b" / "0*.jpg") == ["000003.jpg"]
    assert names(tmp_path / "b" / "000003.jpg") == ["000003.jpg"]
    monkeypatch.chdir(tmp_path)
    assert names("*/*.jpg") == ["b/000003.jpg"]
    assert names(".") == ["000001.jpg", "000002.jpg"]


def test_names_stay_with_their_pictures_when_others_are_broken(tmp_path):
    for number in range(3):
        write(tmp_path / f"{number}.png", (number, number, number))
    (tmp_path / "1.png").write_bytes(b"broken")
    source = iter(open_source(str(tmp_path)))
    frames = [next(source), next(source)]
    assert greys(frames) == [0, 2]
    assert [frame.file_name for frame in frames] == ["0.png", "2.png"]


def test_a_name_that_is_no_text_is_escaped(tmp_path):
    path = tmp_path / os.fsdecode(b"caf\xe9.png")
    path.write_bytes(write(tmp_path / "x.png").read_bytes())
    assert names(path) == ["caf\\xe9.png"]


def test_pictures_that_share_a_file_have_no_name(tmp_path):
    pictures = [Image.new("L", (8, 8), level) for level in (1, 2)]
    pictures[0].save(tmp_path / "1.tiff", save_all=True, append_images=pictures[1:])
    write(tmp_path / "2.png")
    assert names(tmp_path) == [None, None, "2.png"]
