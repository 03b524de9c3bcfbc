"""Which ids are taken when a stream begins again."""

from maskcast.errors import TrackStateError
from maskcast.result import KnownTracks
from sinks.mqtt.journal import Journal
from streaming.pipeline.saving import TrackStateFile
from streaming.service.resumption import Resumption
from tests.frames import tracked


async def test_ids_go_on_after_a_failure_also_where_nobody_was_told_of_them(tmp_path):
    track_state = TrackStateFile(tmp_path / "door.track", 1.0)
    one = Resumption("door", track_state)
    assert await one.known(None) is None
    one.notify(tracked(3, 9))
    one.notify(tracked(4))
    assert await one.known(None) == KnownTracks({}, highest=9)
    track_state.file.touch()
    assert await one.known(None) is None, "the track state knows better: these tracks have not ended"


async def test_ids_that_the_journal_does_not_know_are_not_given_again():
    one, journal = Resumption("door", None), Journal(None)
    one.notify(tracked(5))
    assert (await one.known(journal)).highest == 5
    await journal.close()


def test_a_track_state_that_cannot_be_used_is_set_aside_or_passed_over(tmp_path):
    track_state = TrackStateFile(tmp_path / "door.track", 1.0)
    one = Resumption("door", track_state)
    assert str(one.give_up(TrackStateError("door.track: damaged"))).endswith("; passed over")
    assert one.track_state == TrackStateFile(track_state.file, 1.0, resume=False)
    track_state.file.touch()
    one = Resumption("door", track_state)
    assert "; set aside as door.track" in str(one.give_up(TrackStateError("door.track: damaged")))
    assert not track_state.file.exists()
    assert one.track_state == track_state
