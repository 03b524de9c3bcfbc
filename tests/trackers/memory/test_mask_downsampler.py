import pytest
import torch
from transformers import Sam3TrackerVideoConfig
from transformers.models.sam3_tracker_video.modeling_sam3_tracker_video import Sam3TrackerVideoMaskDownSampler

from trackers.memory.mask_downsampler import MaskDownsampler


@pytest.mark.parametrize(("dtype", "off"), [(torch.float32, 1e-4), (torch.bfloat16, 0.1)])
def test_it_equals_the_reference(dtype, off):
    torch.manual_seed(0)
    reference = Sam3TrackerVideoMaskDownSampler(Sam3TrackerVideoConfig(mask_downsampler_embed_dim=64)).eval()
    for parameter in reference.parameters():
        torch.nn.init.normal_(parameter, std=0.5)  # norms and biases too
    masks = torch.rand(2, 1, 64, 64) * 20 - 10
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=dtype != torch.float32):
        ours = MaskDownsampler(reference, dtype)(masks).float()
    with torch.inference_mode():
        expected = reference(masks)
    assert expected.std() > 1
    assert (ours - expected).abs().max() <= off * expected.std()
