"""Arguments that several commands share: how a model is chosen (see `trackers.options`), and where results go."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from maskcast.errors import UsageError
from sinks.filename import STREAM_FIELD
from sinks.formats import STDOUT, known_formats
from sinks.video.container import HIGHEST_CRF
from sinks.video.style import STYLES, Styles, parse_styles
from sources.pixels import HIGHEST_MAX_PIXELS
from sources.settings import DecoderName
from trackers import defaults
from trackers.defaults import PrecisionName, PropagateName, TrackerName
from trackers.device import DEVICE_NAMES

Model: TypeAlias = Annotated[
    str, typer.Option(help="Hugging Face id (owner/name, or owner/name@revision), folder, or nano.")
]
Device: TypeAlias = Annotated[str, typer.Option(help=f"{DEVICE_NAMES}.")]
Precision: TypeAlias = Annotated[
    PrecisionName,
    typer.Option(help="auto: bfloat16 where the GPU has it, float16 on older ones, float32 on a CPU."),
]
Tracker: TypeAlias = Annotated[TrackerName | None, typer.Option(help="Default: the best that the model allows.")]
TrackerFrom: TypeAlias = Annotated[
    str | None,
    typer.Option(
        help="Checkpoint with tracker weights, where --model has none: facebook/sam2.1-hiera-tiny, facebook/sam3."
    ),
]
HotStart: TypeAlias = Annotated[
    int,
    typer.Option(
        min=0,
        max=defaults.MOST_HOT_START_FRAMES,
        help="Hold results back by so many frames to take false tracks back; 0: at once.",
    ),
]
Threshold: TypeAlias = Annotated[
    float | None,
    typer.Option(
        min=0.0,
        help="Score above which a match counts and starts a track; default: the model's own two, 0.5 and, with tracker "
        "weights, 0.7.",
    ),
]
Compile: TypeAlias = Annotated[
    bool | None,
    typer.Option(
        "--compile/--no-compile",
        help="Compile the model before the first frame: minutes at the first start, of which the next ones "
        "keep what was compiled; default: on CUDA only.",
    ),
]
ContextTokens: TypeAlias = Annotated[
    defaults.ContextTokens,
    typer.Option(help="Tokens of a prompt for LiteText: 32 as Transformers does, 16 as its authors, 77 for long ones."),
]
Resolution: TypeAlias = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=defaults.MOST_RESOLUTION,
        help="Side in pixels of what the model looks at, 336, 672 or 1008 for full-size models; default: its own. Less "
        "is faster and sees less.",
    ),
]
DetectEvery: TypeAlias = Annotated[
    int,
    typer.Option(
        min=1,
        max=defaults.MOST_DETECT_EVERY_FRAMES,
        help="Look for objects in every Nth frame; between, the memory tracker follows those that it knows.",
    ),
]
Propagate: TypeAlias = Annotated[
    PropagateName,
    typer.Option(
        help="Which tracks memory looks for in a frame: all, as SAM 3 does, or adaptive: those whose place no "
        "detection says plainly.",
    ),
]
Out: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--out",
        "-o",
        help=f"{known_formats()}; name:target, such as coco:target, where the suffix does not say the format. "
        f"Default: {STDOUT}, or on a terminal a line a second to read. {STREAM_FIELD} stands for the stream's id.",
    ),
]
Force: TypeAlias = Annotated[
    bool,
    typer.Option("--force", help="Replace files of --out that exist; they are refused without it."),
]
MaxPixels: TypeAlias = Annotated[
    int,
    typer.Option(min=1, max=HIGHEST_MAX_PIXELS, help="Largest picture, width times height; larger ones are refused."),
]
Decoder: TypeAlias = Annotated[
    DecoderName,
    typer.Option(help="What decodes video: auto takes a graphics card's decoder where one works, else the processor."),
]
Codec: TypeAlias = Annotated[str | None, typer.Option(help="Video encoder; by default H.264, on hardware if it works.")]
Quality: TypeAlias = Annotated[
    int | None, typer.Option(min=0, max=HIGHEST_CRF, help="Video quality as the encoder's CRF; lower is better.")
]
Verbose: TypeAlias = Annotated[bool, typer.Option("--verbose", help="Show logs and tracebacks.")]
View: TypeAlias = Annotated[
    bool, typer.Option("--view", help="Show it live in a browser, on a page of this machine that says where it is.")
]
Zones: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE.toml",
        help="Zones and lines, [zones.NAME] and [lines.NAME], where objects are counted; default: none.",
    ),
]
Summary: TypeAlias = Annotated[
    Path | None,
    typer.Option(metavar="FILE.json", help="Where to write what was counted at the zones and lines; default: nowhere."),
]
Style: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        help=f"How objects are shown in annotated video: {', '.join(STYLES)}; all, or PROMPT=STYLE those of one. Blur, "
        "pixelate and fill hide the objects, only hides all else. Default: outline."
    ),
]


def read_styles(words: list[str] | None) -> Styles:
    """What `--style` says.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        return parse_styles(words or [])
    except ValueError as error:
        raise UsageError(f"--style: {error}") from None
