from hypothesis import given
from hypothesis import strategies as st

from maskcast.mask import Box
from maskcast.result import Event, EventKind, KnownTracks, TrackState
from trackers.lifecycle import Lifecycle, Sighting

SEEN = Sighting(0.9, Box(1, 2, 3, 4))


def kinds(events):
    return [event.kind.value for event in events]


def confirmed(lifecycle, pts=0.0):
    track_id, events = lifecycle.start("cat", SEEN, pts)
    while lifecycle[track_id].state is TrackState.TENTATIVE:
        pts += 0.1
        events += lifecycle.update({track_id: SEEN}, pts)
    return track_id, events, pts


def test_a_whole_life():
    lifecycle = Lifecycle(confirm_after=3, lost_after=1.0)
    track_id, events, pts = confirmed(lifecycle)
    assert kinds(events) == ["started"]
    assert kinds(lifecycle.update({}, pts + 0.5)) == ["lost"]
    assert kinds(lifecycle.update({}, pts + 0.9)) == []
    assert kinds(lifecycle.update({track_id: SEEN}, pts + 1.0)) == ["recovered"]
    assert kinds(lifecycle.update({}, pts + 1.5)) == ["lost"]
    assert kinds(lifecycle.update({}, pts + 2.1)) == ["ended"]
    assert len(lifecycle) == 0


def test_a_long_gap_in_the_stream_loses_and_ends_at_once():
    lifecycle = Lifecycle(lost_after=1.0)
    _, _, pts = confirmed(lifecycle)
    assert kinds(lifecycle.update({}, pts + 60)) == ["lost", "ended"]


def test_a_tentative_track_that_is_missed_leaves_no_trace_and_its_id_is_not_reused():
    lifecycle = Lifecycle()
    first, _ = lifecycle.start("cat", SEEN, 0.0)
    assert lifecycle.update({}, 0.1) == []
    second, _ = lifecycle.start("cat", SEEN, 0.2)
    assert (first, second) == (1, 2)


def test_a_frame_that_nothing_looks_at_neither_drops_nor_confirms():
    lifecycle = Lifecycle(confirm_after=3, lost_after=1.0)
    track_id, _ = lifecycle.start("cat", SEEN, 0.0)
    for pts, sightings in ((0.1, {track_id: SEEN}), (0.2, {track_id: SEEN}), (0.3, {}), (0.4, {track_id: SEEN})):
        assert lifecycle.update(sightings, pts, looked=False) == []
    assert (lifecycle[track_id].hits, lifecycle[track_id].last_seen) == (1, 0.4)
    assert lifecycle.update({track_id: SEEN}, 0.5) == []
    assert kinds(lifecycle.update({track_id: SEEN}, 0.6)) == ["started"]
    assert kinds(lifecycle.update({}, 0.7, looked=False)) == ["lost"], "its mask is gone, whoever looked"
    assert kinds(lifecycle.update({track_id: SEEN}, 0.8, looked=False)) == ["recovered"]


def test_one_frame_confirms_when_asked():
    track_id, events = Lifecycle(confirm_after=1).start("cat", SEEN, 0.0)
    assert kinds(events) == ["started"]
    assert events[0].track_id == track_id


def test_lost_tracks_make_room_oldest_first_and_living_ones_do_not():
    lifecycle = Lifecycle(max_tracks=3, confirm_after=1)
    ids = [lifecycle.start("cat", SEEN, 0.0)[0] for _ in range(3)]
    assert lifecycle.start("cat", SEEN, 0.1) is None
    lifecycle.update({ids[0]: SEEN, ids[2]: SEEN}, 0.1)
    lifecycle.update({ids[2]: SEEN}, 0.2)
    events = lifecycle.make_room(1)
    assert [(event.track_id, event.kind) for event in events] == [(ids[1], EventKind.ENDED)]
    assert lifecycle.start("cat", SEEN, 0.3) is not None


@given(st.lists(st.tuples(st.sets(st.integers(1, 12)), st.integers(0, 3)), max_size=40))
def test_any_history_keeps_the_books(history):
    lifecycle = Lifecycle(max_tracks=4, confirm_after=2, lost_after=0.5)
    open_tracks, used = set(), []
    for step, (seen, new) in enumerate(history):
        events = lifecycle.update({i: SEEN for i in seen if i in lifecycle}, step * 0.2)
        for _ in range(new):
            events += lifecycle.make_room(1)
            if started := lifecycle.start("cat", SEEN, step * 0.2):
                used.append(started[0])
                events += started[1]
        for event in events:
            if event.kind is EventKind.STARTED:
                assert event.track_id not in open_tracks
                open_tracks.add(event.track_id)
            else:
                assert event.track_id in open_tracks
            if event.kind is EventKind.ENDED:
                open_tracks.remove(event.track_id)
        assert len(lifecycle) <= 4
        assert open_tracks == {life.id for life in lifecycle if life.state is not TrackState.TENTATIVE}
    assert used == sorted(set(used))


def test_after_a_restart_the_saved_state_agrees_with_what_subscribers_know():
    before = Lifecycle(confirm_after=3, lost_after=60.0)
    ended, _, _ = confirmed(before)
    lost, _, _ = confirmed(before)
    silent, _, _ = confirmed(before)
    tentative, _ = before.start("cat", SEEN, 0.5)

    def event(kind, track_id):
        return Event(kind, track_id, "cat", 0.5, Box(1, 1, 2, 2))

    after = Lifecycle(confirm_after=3, lost_after=60.0)
    after.restore(before, before.next_id)
    newer = 40
    known = KnownTracks({lost: event(EventKind.LOST, lost), newer: event(EventKind.STARTED, newer)}, highest=newer)
    events = after.align(known)
    assert [(e.kind.value, e.track_id) for e in events] == [("ended", newer)], "begun after the state was saved"
    assert ended not in after, "its end is known already"
    assert silent not in after, "it ended after the state was saved as well"
    assert tentative not in after, "it may have started and ended since, and an id starts once"
    assert kinds(after.update({lost: SEEN}, 1.0)) == ["recovered"]
    assert after.next_id == newer + 1


def test_a_track_of_which_nobody_has_heard_starts_when_it_is_seen_again():
    before = Lifecycle(confirm_after=3)
    track_id, _, pts = confirmed(before)
    after = Lifecycle(confirm_after=3)
    after.restore(before, before.next_id)
    assert after.align(KnownTracks()) == []
    assert kinds(after.update({track_id: SEEN}, pts + 0.1)) == ["started"]
