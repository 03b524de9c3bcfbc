"""The table of containers names only what FFmpeg and our encoders know."""

from __future__ import annotations

import av
import pytest
from av.codec import Codec

from sinks.video.codec import ENCODERS
from sinks.video.container import CONTAINERS, Container


@pytest.mark.parametrize("container", CONTAINERS.values(), ids=CONTAINERS)
def test_each_name_is_known(container: Container) -> None:
    assert av.ContainerFormat(container.muxer, "w").is_output
    assert container.video_codec in ENCODERS
    assert Codec(container.audio_encoder, "w").type == "audio"
    assert all(Codec(name, "r").type == "audio" for name in container.audio_codecs or ())
