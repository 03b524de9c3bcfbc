"""The containers that a video can be written in: what each is called, holds and needs. Imports no encoder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

# Of the encoders' constant rate factor: those of VP9 and AV1 go furthest.
HIGHEST_CRF = 63

# A killed process must leave what it wrote playable, so videos are written in fragments of a second.
_MATROSKA = {"cluster_time_limit": "1000", "flush_packets": "1"}  # milliseconds
_MP4 = {"frag_duration": "1000000", "flush_packets": "1"}  # microseconds
# The hybrid form hides the fragments at the end under an ordinary index, which every player and editor can seek in,
# without copying the file. That index grows in memory with each frame. A live stream has no end to plan for: its file
# stays fragmented, and does without the list of its fragments too.
_HYBRID = "hybrid_fragmented+delay_moov"
_ENDLESS = "delay_moov+default_base_moof+skip_trailer"
# The clock of an MP4 file as a whole, in ticks a second: the video's own where players read it, else MPEG's. By default
# it counts milliseconds, and the end of the video would be rounded down to one.
_LEAST_TIMESCALE, _MOST_TIMESCALE, _MPEG_TIMESCALE = 1000, 1_000_000, 90_000


@dataclass(frozen=True, slots=True)
class Container:
    """What a video file may hold, and how FFmpeg writes it.

    Attributes:
        muxer: FFmpeg's name of it.
        audio_codecs: of audio that is copied: what it may hold and players play; None for all that FFmpeg puts in.
        is_mp4: it is of the ISO base media file format (MP4, QuickTime), else Matroska (WebM).
        video_codec: the format of the pictures where none is asked for, a key of `sinks.video.codec.ENCODERS`.
        audio_encoder: FFmpeg's encoder for audio that is not copied.
    """

    muxer: str
    audio_codecs: frozenset[str] | None = None
    is_mp4: bool = False
    video_codec: str = "h264"
    audio_encoder: str = "aac"

    def options(self, time_base: Fraction, *, endless: bool) -> dict[str, str]:
        """FFmpeg's options of the muxer.

        Args:
            time_base: of the video, in seconds.
            endless: whether the video goes on as long as a live stream does.
        """
        if not self.is_mp4:
            return dict(_MATROSKA)
        scale = time_base.denominator
        if not _LEAST_TIMESCALE <= scale <= _MOST_TIMESCALE:
            scale = _MPEG_TIMESCALE
        return {**_MP4, "movflags": _ENDLESS if endless else _HYBRID, "movie_timescale": str(scale)}


# By the suffix of the file. AC-3 and E-AC-3 are not copied into MP4: FFmpeg writes no file at all where one of their
# packets is damaged or none comes, and browsers do not play them.
CONTAINERS: Mapping[str, Container] = {
    ".mp4": Container("mp4", frozenset({"aac", "mp3", "opus", "flac", "alac"}), is_mp4=True),
    ".mkv": Container("matroska"),
    ".mov": Container(
        "mov",
        frozenset({"aac", "mp3", "alac", "pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be"}),
        is_mp4=True,
    ),
    ".webm": Container("webm", frozenset({"opus", "vorbis"}), video_codec="vp9", audio_encoder="libopus"),
}
