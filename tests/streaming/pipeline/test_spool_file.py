import pytest

from maskcast.errors import SinkError
from streaming.pipeline.spool_file import BUFFER_BYTES, Mark, SpoolFile


@pytest.fixture
def opened():
    """Opens spools, and closes them."""
    files = []

    def open_one(path):
        files.append(SpoolFile(path))
        return files[-1]

    yield open_one
    for file in files:
        file.close()


def lines(count, first=0):
    return [f"line {number}\n".encode() for number in range(first, first + count)]


def filled(path, *parts):
    """A spool to which each part was added, and the mark behind each."""
    file, marks = SpoolFile(path), []
    for part in parts:
        for line in part:
            file.add(line)
        marks.append(file.sync())
    file.close()
    return marks


@pytest.mark.parametrize("place", [0, 1])
def test_what_lies_beyond_the_mark_is_thrown_away_and_written_anew(opened, tmp_path, place):
    marks = filled(tmp_path / "s", lines(3), lines(2, 3))
    with (tmp_path / "s").open("ab") as end:
        end.write(b"half a li")
    file, count = opened(tmp_path / "s"), (3, 5)[place]
    assert file.cut(marks[place])
    assert [file.read() for _ in range(count + 1)] == [*lines(count), b""]
    assert file.end == marks[place]
    for line in lines(2, 10):
        file.add(line)
    again = file.sync()
    file.close()
    assert again.results == count + 2
    assert (tmp_path / "s").read_bytes() == b"".join([*lines(count), *lines(2, 10)])
    assert opened(tmp_path / "s").cut(again)


@pytest.mark.parametrize("harm", ["shorter", "longer ago", "a bit"])
def test_what_does_not_fit_its_mark_is_nothing(opened, tmp_path, harm):
    (mark,) = filled(tmp_path / "s", lines(100))
    whole = (tmp_path / "s").read_bytes()
    other = {"shorter": whole[:-1], "longer ago": b"", "a bit": bytes([whole[0] ^ 1]) + whole[1:]}
    (tmp_path / "s").write_bytes(other[harm])
    file = opened(tmp_path / "s")
    assert not file.cut(mark)
    assert (file.end, file.read()) == (Mark(), b"")
    assert (tmp_path / "s").stat().st_size == 0


def test_more_than_fits_into_memory_at_a_time(opened, tmp_path):
    long = [b"x" * (BUFFER_BYTES // 2 + number) + b"\n" for number in range(5)]
    (mark,) = filled(tmp_path / "s", long)
    file = opened(tmp_path / "s")
    assert file.cut(mark)
    assert [file.read() for _ in long] == long


def test_one_run_at_a_time_and_for_its_owner_alone(opened, tmp_path):
    first = opened(tmp_path / "deep" / "s")
    with pytest.raises(SinkError, match="another run is writing it"):
        opened(tmp_path / "deep" / "s")
    first.close()
    opened(tmp_path / "deep" / "s").close()
    assert (tmp_path / "deep" / "s").stat().st_mode & 0o777 == 0o600
    with pytest.raises(SinkError, match="cannot be opened"):
        opened(tmp_path)


@pytest.mark.parametrize("found", [{}, {"results": 1}, {"results": -1, "length": 0, "checksum": 0}])
def test_a_mark_that_is_none(found):
    with pytest.raises((ValueError, KeyError)):
        Mark.read(found)
