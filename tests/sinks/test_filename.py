"""Every id that is accepted can name a track state, a recording and an output, however many bytes it takes."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskcast.errors import UsageError
from sinks.filename import file_name, with_stream
from sources.location import MAX_ID_CHARACTERS, check_stream_id
from streaming.track_states import track_state_file

LONG = ["\u9580" * 128, "\U0001f600" * 128, "e\u0301" * 64, "L" * 128]
NAME_MAX = 255


@pytest.mark.parametrize("stream", LONG)
def test_files_of_the_longest_ids_can_be_made(stream, tmp_path):
    assert check_stream_id(stream) == stream
    track_state = track_state_file(tmp_path, stream)
    for name in (f"{track_state.name}.damaged", f".{track_state.name}.partial", file_name(stream)):
        (tmp_path / name).write_bytes(b"")
    video = tmp_path / with_stream("annotated-{stream}-night.partial.mp4", stream)
    video.write_bytes(b"")
    assert video.name[10:13] == stream[:3], "something to read"
    assert with_stream("mqtt://host/{stream}", stream) == f"mqtt://host/{stream}", "topics take it as it is"


def test_ids_that_differ_at_their_end_have_different_files():
    names = {file_name("\u9580" * 127 + end) for end in "abc"}
    assert len(names) == 3
    assert file_name("front door") == "front door", "what fits stays as it is"


@settings(deadline=None)
@given(st.text(min_size=1, max_size=MAX_ID_CHARACTERS))
def test_any_id_is_refused_or_a_name(stream):
    try:
        check_stream_id(stream)
    except UsageError:
        return
    name = file_name(stream)
    assert len(f".{name}.safetensors.damaged".encode()) <= NAME_MAX
    assert name not in {".", ".."}
    assert "/" not in name


@pytest.mark.parametrize("bad", ["", ".", "..", "a/b", "a\\b", "a\nb", "a\u202eb"])
def test_what_can_name_no_file(bad):
    with pytest.raises(UsageError, match="cannot name a file"):
        file_name(bad)
