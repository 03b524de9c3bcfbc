"""A tiny tracker of SAM 2's real class, with random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import Sam2VideoConfig, Sam2VideoModel

from tests import tiny

# Not the tiny detector's: each looks at the pictures at its own size, and its masks have their own.
IMAGE_SIZE = 128
HIDDEN = 128


def configuration(**changes: Any) -> Sam2VideoConfig:
    side = IMAGE_SIZE // 16
    return Sam2VideoConfig(
        vision_config={
            "model_type": "sam2_vision_model",
            "backbone_config": {
                "model_type": "sam2_hiera_det_model",
                "hidden_size": 16,
                "image_size": [IMAGE_SIZE, IMAGE_SIZE],
                "blocks_per_stage": [1, 1, 2, 1],
                "embed_dim_per_stage": [16, 32, 64, 128],
                "num_attention_heads_per_stage": [1, 1, 2, 2],
                "window_size_per_stage": [8, 4, 4, 2],
                "global_attention_blocks": [3],
            },
            "backbone_channel_list": [128, 64, 32, 16],
            "backbone_feature_sizes": [[side * 4, side * 4], [side * 2, side * 2], [side, side]],
            "fpn_hidden_size": HIDDEN,
        },
        prompt_encoder_config={"hidden_size": HIDDEN, "image_size": IMAGE_SIZE, "patch_size": 16},
        mask_decoder_config={
            "hidden_size": HIDDEN,
            "mlp_dim": 64,
            "iou_head_hidden_dim": HIDDEN,
            "num_attention_heads": 4,
        },
        image_size=IMAGE_SIZE,
        memory_attention_hidden_size=HIDDEN,
        memory_attention_num_layers=2,
        memory_attention_feed_forward_hidden_size=64,
        memory_attention_rope_feat_sizes=[side, side],
        memory_encoder_hidden_size=HIDDEN,
        memory_encoder_output_channels=64,
        mask_downsampler_embed_dim=HIDDEN,
        memory_fuser_embed_dim=HIDDEN,
        memory_fuser_intermediate_dim=64,
        **changes,
    )


def model(seed: int = 0, **changes: Any) -> Sam2VideoModel:
    """Weights of which `tiny.let_memory_matter` has set the gains."""
    torch.manual_seed(seed)
    tracker = Sam2VideoModel(configuration(**changes)).eval()
    for name, parameter in tracker.named_parameters():
        if parameter.ndim > 1 and "embed" not in name:
            torch.nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5)
    with torch.no_grad():
        tiny.let_memory_matter(tracker)
        # Learned from zero, these would say nothing.
        for learned in (
            tracker.vision_encoder.backbone.pos_embed,
            tracker.vision_encoder.backbone.pos_embed_window,
            tracker.no_memory_embedding,
            tracker.memory_temporal_positional_encoding,
            tracker.no_object_pointer,
            tracker.occlusion_spatial_embedding_parameter,
        ):
            if learned is not None:
                torch.nn.init.normal_(learned, std=0.5)
    return tracker


def save(folder: Path, seed: int = 0, **changes: Any) -> Path:
    model(seed, **changes).save_pretrained(folder)
    return folder
