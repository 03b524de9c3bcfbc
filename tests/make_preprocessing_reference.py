"""Store what the real `Sam3ImageProcessor` makes of some pictures (needs torchvision, which the tests do not).

Run once in an environment where torchvision imports: `python tests/make_preprocessing_reference.py`.
"""

import numpy as np
from transformers import Sam3ImageProcessor

from tests.paths import DATA

SIZES = [(540, 960), (720, 1280), (1080, 1920), (1008, 1008), (77, 1301), (224, 224)]
STRIDE = 997  # every 997th value of the flattened result is stored


def picture(height: int, width: int) -> np.ndarray:
    """Smooth waves with noise on top, the same on every machine."""
    y, x = np.mgrid[:height, :width]
    waves = np.stack([(x * 3 + y * 7) % 256, (x * y // 64) % 256, (x * x // 97 + y) % 256], -1)
    return waves.astype(np.uint8)


if __name__ == "__main__":
    stored = {}
    for side in (1008, 224):
        processor = Sam3ImageProcessor(size={"height": side, "width": side})
        for height, width in SIZES:
            values = processor(picture(height, width), return_tensors="pt").pixel_values[0].numpy()
            # From [-1, 1] back to the grey level, which is an integer: exact and ten times smaller.
            stored[f"{side}_{height}x{width}"] = np.rint(values.ravel()[::STRIDE] * 127.5 + 127.5).astype(np.uint8)
    np.savez_compressed(DATA / "preprocessing.npz", **stored)
