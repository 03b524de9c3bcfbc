"""Torch's choice of attention kernels, which is one for the whole process, while two threads are at work."""

import threading

import pytest
import torch

from tests.patience import patient
from trackers.attention_kernels import few_kernels


def allowed():
    return torch.backends.cuda.cudnn_sdp_enabled()


def test_who_leaves_first_changes_nothing_for_who_stays_and_the_last_puts_it_back():
    before, entered, leave, seen = allowed(), threading.Event(), threading.Event(), []

    def other():
        with few_kernels():
            entered.set()
            leave.wait(patient(60))
            seen.append(allowed())

    thread = threading.Thread(target=other)
    with few_kernels():
        thread.start()
        assert entered.wait(patient(60))
    seen.append(allowed())
    leave.set()
    thread.join(patient(60))
    assert (before, seen, allowed()) == (True, [False, False], True)


def test_it_is_put_back_also_after_a_failure():
    with pytest.raises(ZeroDivisionError), few_kernels():
        1 / 0  # noqa: B018
    assert allowed()
