"""How the process shares its processors. To be imported before torch."""

from __future__ import annotations

import os


def wait_politely() -> None:
    """Let OpenMP threads sleep while they wait for each other.

    By default they spin. Beside a video encoder, or any other busy process, the spinning thread then holds the
    processor that the awaited one needs: a decoder pass of a small model took 1.37 s so, and 0.10 s after this, on two
    shared cores. OpenMP reads the variable when torch is loaded; a user's own setting is kept.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
