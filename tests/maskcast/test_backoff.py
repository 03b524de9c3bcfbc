from maskcast.backoff import Backoff


def test_waits_grow_up_to_a_bound_and_begin_again(monkeypatch):
    monkeypatch.setattr("random.uniform", lambda low, high: (low, high))
    backoff = Backoff(0.5, 4, good=10)
    assert [backoff.wait() for _ in range(6)] == [(0, 0.5), (0, 1), (0, 2), (0, 4), (0, 4), (0, 4)]
    backoff.reset()
    assert backoff.wait() == (0, 0.5)


def test_what_held_for_a_while_begins_the_waits_anew_and_what_breaks_soon_does_not():
    backoff = Backoff(1, 60, good=10, jitter=False)
    assert [backoff.wait() for _ in range(3)] == [1, 2, 4]
    backoff.lasted(10)
    assert backoff.wait() == 8
    backoff.lasted(10.1)
    assert [backoff.wait(), backoff.wait()] == [1, 2]
