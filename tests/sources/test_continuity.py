"""Clocks that begin anew in the middle of a recording, where its format allows that, and gaps that are meant."""

import itertools

import pytest

from tests import media


def part(folder, name, offset, *, audio=False):
    """A second of MPEG-TS whose clock starts at `offset`."""
    path = media.make(folder / name, seconds=1, audio=audio, options=["-g", "10", "-output_ts_offset", str(offset)])
    return path.read_bytes()


def playlist(folder, offsets):
    for number, offset in enumerate(offsets):
        (folder / f"{number}.ts").write_bytes(part(folder, f"{number}.ts", offset))
    entries = "#EXT-X-DISCONTINUITY\n".join(f"#EXTINF:1,\n{number}.ts\n" for number in range(len(offsets)))
    head = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-PLAYLIST-TYPE:VOD\n"
    (folder / "index.m3u8").write_text(f"{head}{entries}#EXT-X-ENDLIST\n")
    return folder / "index.m3u8"


def joined(folder, offsets, **options):
    path = folder / "joined.ts"
    path.write_bytes(b"".join(part(folder, "part.ts", offset, **options) for offset in offsets))
    return path


@pytest.mark.parametrize("make", [playlist, joined])
@pytest.mark.parametrize("offsets", [(100, 7100, 14100), (50_000, 100, 7000)])
def test_a_jump_of_the_clock_is_a_new_beginning(tmp_path, make, offsets):
    path = make(tmp_path, offsets)
    _, frames, error = media.read(path)
    assert error is None
    assert len(frames) == 30
    steps = [after - before for before, after in itertools.pairwise(media.stamps(frames))]
    assert steps == pytest.approx([0.1] * 29, abs=0.05)


def test_sound_stays_with_its_pictures_over_a_jump(tmp_path):
    path = joined(tmp_path, (100, 7100, 30), audio=True)
    _, frames, error = media.read(path)
    assert error is None
    assert len(frames) == 30
    sound = [float(packet.start) for frame in frames for packet in frame.audio]
    assert sound == sorted(sound)
    # Each part has a little more sound than pictures.
    assert frames[-1].pts == pytest.approx(2.9, abs=0.2)
    assert sound[-1] == pytest.approx(3, abs=0.2)


@pytest.mark.parametrize("name", ["x.ts", "x.mkv", "x.mp4"])
@pytest.mark.parametrize("gap", [5, 60])
def test_a_gap_is_meant_where_clocks_do_not_jump(tmp_path, name, gap):
    later = f"setpts='PTS+gte(N,10)*{gap}/TB'"
    options = ["-vf", later, "-fps_mode", "passthrough", "-bf", "0"]
    _, frames, error = media.read(media.make(tmp_path / name, options=options))
    assert error is None
    assert len(frames) == 20
    longest = max(after - before for before, after in itertools.pairwise(media.stamps(frames)))
    expected = 0.1 if name == "x.ts" and gap > 10 else gap + 0.1
    assert longest == pytest.approx(expected, abs=0.05)


@pytest.mark.parametrize(("kind", "packets"), [("v", (30, 169)), ("a", (130, 732))])
def test_a_gap_in_one_stream_leaves_it_beside_the_other(tmp_path, kind, packets):
    whole = media.make(tmp_path / "whole.mkv", seconds=18, audio=True, options=["-bf", "0", "-g", "10"])
    gap = r"noise=drop=between(n\,{}\,{})".format(*packets)
    media.ffmpeg("-i", whole, "-c", "copy", "-muxdelay", "0", f"-bsf:{kind}", gap, tmp_path / "x.ts")
    _, frames, error = media.read(tmp_path / "x.ts")
    assert error is None
    times = {"v": media.stamps(frames), "a": [float(packet.start) for frame in frames for packet in frame.audio]}
    assert times["v"][-1] == pytest.approx(18, abs=0.2)
    assert times["a"][-1] == pytest.approx(18, abs=0.2)
    assert max(after - before for before, after in itertools.pairwise(times[kind])) == pytest.approx(14, abs=0.2)
