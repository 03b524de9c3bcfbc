"""Region pooling against torchvision's figures."""

from __future__ import annotations

import pytest
import torch
from region_pooling import roi_align


@pytest.mark.parametrize(
    ("region", "size", "expected"),
    [
        # torchvision 0.28.0's `roi_align` on this picture.
        ((1.3, 0.6, 5.9, 4.2), 1, [-0.000229]),
        ((1.3, 0.6, 5.9, 4.2), 2, [-0.456340, 0.417891, 0.398822, -0.359435]),
        ((3.0, 3.0, 3.0, 3.0), 1, [-0.048170]),
    ],
)
def test_regions_are_pooled_as_torchvision_does(region: tuple[float, ...], size: int, expected: list[float]) -> None:
    picture = torch.arange(48.0).reshape(1, 1, 6, 8).sin()
    pooled = roi_align(picture, [torch.tensor([region])], size)
    assert pooled.shape == (1, 1, size, size)
    assert torch.allclose(pooled.flatten(), torch.tensor(expected), atol=1e-5)


def test_every_region_is_of_its_own_picture() -> None:
    pictures = torch.arange(3.0).reshape(3, 1, 1, 1).expand(3, 2, 5, 5)
    whole = torch.tensor([[0.0, 0.0, 4.0, 4.0]])
    pooled = roi_align(pictures, [whole, whole[:0], whole.repeat(2, 1)], 1)
    assert pooled[:, 0, 0, 0].tolist() == [0, 2, 2]
