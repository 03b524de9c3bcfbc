"""How the pipeline works where nobody says otherwise. Imports nothing, so that all may read it."""

# More frames at once gain nothing on one GPU: the image encoder fills it with a frame or two.
MAX_BATCH = 4
# Frames of several cameras seldom come at once: a wait of this lets them share a pass.
BATCH_WAIT_SECONDS = 0.005
# Between two savings of a track state, and at least.
SAVE_INTERVAL_SECONDS, SHORTEST_SAVE_INTERVAL_SECONDS = 10.0, 0.1
# Frames a second that a highest rate may be.
LOWEST_MAX_RATE, HIGHEST_MAX_RATE = 0.01, 1000.0
