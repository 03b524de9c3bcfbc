"""The containers that a video can be written in: what each is called, holds and needs. Imports no encoder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

# A killed process must leave what it wrote playable, so videos are written in fragments of a second.
_FRAGMENTS = {"frag_duration": "1000000", "flush_packets": "1"}  # microseconds
# The hybrid form hides the fragments at the end under an ordinary index, which every player and editor can seek in,
# without copying the file. That index grows in memory with each frame.
_MP4 = {"movflags": "hybrid_fragmented+delay_moov", **_FRAGMENTS}
# A live stream has no end to plan for: its file stays fragmented, and does without the list of its fragments too.
_ENDLESS_MP4 = {"movflags": "delay_moov+default_base_moof+skip_trailer", **_FRAGMENTS}
_MATROSKA = {"cluster_time_limit": "1000", "flush_packets": "1"}  # milliseconds


@dataclass(frozen=True, slots=True)
class Container:
    """What a video file may hold, and how FFmpeg writes it.

    Attributes:
        muxer: FFmpeg's name of it.
        video_codec: the format of the pictures where none is asked for, a key of `sinks.video.codec.ENCODERS`.
        audio_encoder: FFmpeg's encoder for audio that is not copied.
        audio_codecs: of audio that is copied: what it may hold and players play; None for all that FFmpeg puts in.
        is_mp4: it is of the ISO base media file format (MP4, QuickTime), else Matroska (WebM).
        options: FFmpeg's options of the muxer for a video that ends.
        endless_options: for one that goes on as long as a live stream does.
    """

    muxer: str
    video_codec: str
    audio_encoder: str
    audio_codecs: frozenset[str] | None
    is_mp4: bool
    options: Mapping[str, str]
    endless_options: Mapping[str, str]


# By the suffix of the file. AC-3 and E-AC-3 are not copied into MP4: FFmpeg writes no file at all where one of their
# packets is damaged or none comes, and browsers do not play them.
CONTAINERS: Mapping[str, Container] = {
    ".mp4": Container(
        muxer="mp4",
        video_codec="h264",
        audio_encoder="aac",
        audio_codecs=frozenset({"aac", "mp3", "opus", "flac", "alac"}),
        is_mp4=True,
        options=_MP4,
        endless_options=_ENDLESS_MP4,
    ),
    ".mkv": Container(
        muxer="matroska",
        video_codec="h264",
        audio_encoder="aac",
        audio_codecs=None,
        is_mp4=False,
        options=_MATROSKA,
        endless_options=_MATROSKA,
    ),
    ".mov": Container(
        muxer="mov",
        video_codec="h264",
        audio_encoder="aac",
        audio_codecs=frozenset({"aac", "mp3", "alac", "pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be"}),
        is_mp4=True,
        options=_MP4,
        endless_options=_ENDLESS_MP4,
    ),
    ".webm": Container(
        muxer="webm",
        video_codec="vp9",
        audio_encoder="libopus",
        audio_codecs=frozenset({"opus", "vorbis"}),
        is_mp4=False,
        options=_MATROSKA,
        endless_options=_MATROSKA,
    ),
}
