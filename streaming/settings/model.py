"""The table `[model]`: which model runs where, and how it follows."""

from __future__ import annotations

from pydantic import Field

from streaming.settings.table import DAY_SECONDS, Table
from streaming.settings.values import Device, ModelName
from trackers.defaults import (
    CONTEXT_TOKENS,
    DETECT_EVERY_FRAMES,
    DEVICE,
    HOT_START_FRAMES,
    LOST_AFTER_SECONDS,
    MODEL,
    MOST_DETECT_EVERY_FRAMES,
    MOST_HOT_START_FRAMES,
    MOST_RESOLUTION,
    PRECISION,
    PROPAGATE,
    ContextTokens,
    PrecisionName,
    PropagateName,
    TrackerName,
)
from trackers.options import EngineOptions


class ModelSettings(Table):
    """The model that all streams share."""

    name: ModelName = Field(
        default=MODEL,
        description="Hugging Face id (`owner/name` or `owner/name@revision`), `nano`, or a folder (`./folder` is "
        "beside the settings file). A branch stays at the commit that was fetched first.",
    )
    device: Device = Field(default=DEVICE, description="`auto`, `cpu`, `cuda:N` or `mps`.")
    precision: PrecisionName = Field(
        default=PRECISION,
        description="What the model computes in. `auto`: bfloat16 where the GPU has it, float16 on older ones, "
        "float32 on a CPU.",
    )
    tracker: TrackerName | None = Field(
        default=None, description="How objects are followed; by default the best that the model allows."
    )
    tracker_from: ModelName | None = Field(
        default=None,
        description=(
            "Checkpoint with tracker weights, where `name` has none: `facebook/sam2.1-hiera-tiny`, or `facebook/sam3`."
        ),
    )
    hot_start: int = Field(
        default=HOT_START_FRAMES,
        ge=0,
        le=MOST_HOT_START_FRAMES,
        description="Frames by which results are held back to take false tracks back.",
    )
    lost_after: float = Field(
        default=LOST_AFTER_SECONDS, ge=0.0, le=DAY_SECONDS, description="Seconds after which a lost track ends."
    )
    context_tokens: ContextTokens = Field(
        default=CONTEXT_TOKENS,
        description="Tokens to which LiteText pads every prompt: 32 as Transformers does, 16 as its authors do, 77 for "
        "the longest prompts.",
    )
    resolution: int | None = Field(
        default=None,
        ge=1,
        le=MOST_RESOLUTION,
        description="Side in pixels of what the model looks at: 336, 672 or 1008 for full-size models; by default the "
        "model's own. Less is faster and sees less.",
    )
    detect_every: int = Field(
        default=DETECT_EVERY_FRAMES,
        ge=1,
        le=MOST_DETECT_EVERY_FRAMES,
        description="Every how many frames of a stream the detector looks; between, the memory tracker follows what it "
        "knows.",
    )
    propagate: PropagateName = Field(
        default=PROPAGATE,
        description="Which tracks the memory tracker looks for in a frame: all, as SAM 3 does, or `adaptive`: those "
        "whose place no detection says plainly.",
    )
    compile: bool | None = Field(
        default=None,
        description="Compile the model before the first frame: minutes at the first start, of which the next ones "
        "keep what was compiled. By default on CUDA only.",
    )
    threshold: float | None = Field(
        default=None,
        ge=0.0,
        lt=1.0,
        description="Score above which a match counts and starts a track; by default the model's own two, which are "
        "0.5 and, with tracker weights, 0.7.",
    )

    @property
    def options(self) -> EngineOptions:
        """For the engine."""
        return EngineOptions(
            model=self.name,
            device=self.device,
            tracker=self.tracker,
            tracker_from=self.tracker_from,
            hot_start=self.hot_start,
            lost_after=self.lost_after,
            precision=self.precision,
            threshold=self.threshold,
            context_tokens=self.context_tokens,
            resolution=self.resolution,
            detect_every=self.detect_every,
            propagate=self.propagate,
            compile=self.compile,
        )
