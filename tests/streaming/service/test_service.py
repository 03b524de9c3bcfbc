"""What `maskcast run` begins before it has a model."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from streaming.service.service import Service
from streaming.settings.tables import Settings


@pytest.mark.parametrize(
    ("http", "kept"),
    [
        ({"listen": "127.0.0.1:0"}, True),
        ({"listen": "0.0.0.0:0", "password": "open sesame"}, True),
        ({"listen": "0.0.0.0:0"}, False),
        ({"listen": ""}, False),
    ],
)
async def test_nothing_is_kept_for_a_page_that_nobody_may_look_at(
    tmp_path: Path, http: dict[str, str], kept: bool
) -> None:
    streams = {"door": {"source": "a.mp4", "prompts": ["cat"]}}
    settings = Settings.model_validate({"http": http, "streams": streams}, context={"folder": tmp_path})
    async with AsyncExitStack() as ending:
        board, history = Service(tmp_path / "a.toml", settings)._serve_page(ending)
        assert [board is not None, history is not None] == [kept, kept]
