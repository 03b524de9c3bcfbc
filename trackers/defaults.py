"""What an engine is and does where nobody says otherwise. Imports no torch: settings and help read it at once."""

from typing import Literal

TrackerName = Literal["memory", "association"]
PrecisionName = Literal["auto", "float32", "bfloat16", "float16"]
PropagateName = Literal["always", "adaptive"]
ContextTokens = Literal[16, 32, 77]

# At a commit, so that nothing changes when its owners push.
MODEL = "vil-uob/sam3-litetext-s0@b09766e54f5d2eba021119ec7feff13e74c0f8fc"
DEVICE = "auto"
PRECISION: PrecisionName = "auto"
# What `Sam3Processor` of Transformers pads every prompt to.
CONTEXT_TOKENS: ContextTokens = 32
# Four times that of the published models.
MOST_RESOLUTION = 4032
HOT_START_FRAMES = 0
# So many results of a stream, masks and pictures included, wait in memory.
MOST_HOT_START_FRAMES = 1000
LOST_AFTER_SECONDS = 3.0
DETECT_EVERY_FRAMES = 1
PROPAGATE: PropagateName = "always"
# Beyond it an object may come and go between two looks at 25 frames a second, and a hot start be too long to hold.
MOST_DETECT_EVERY_FRAMES = 100
# SORT's `min_hits` (Bewley et al. 2016).
CONFIRM_AFTER_FRAMES = 3
MAX_TRACKS = 64
