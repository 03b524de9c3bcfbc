"""The shape of ``nano``: a `Sam3VideoConfig` small enough to train and run on two processor cores."""

from __future__ import annotations

import torch
from prompts import CONTEXT, VOCABULARY_SIZE
from scenes import SIZE
from torch import nn
from transformers import (
    Sam3LiteTextConfig,
    Sam3LiteTextModel,
    Sam3TrackerVideoConfig,
    Sam3TrackerVideoModel,
    Sam3VideoConfig,
)

PATCH = 14
GRID = SIZE // PATCH
"""Tokens along one side of the picture."""
MASK = 4 * GRID
"""Side of the predicted masks, pixels."""
HIDDEN = 128
QUERIES = 25
HEADS = 4
LAYERS = 6


def vision_config() -> dict[str, object]:
    """The image encoder: a 6-layer ViT that attends globally, and a pyramid of 64, 32 and 16 pixels a side."""
    return {
        "model_type": "sam3_vision_model",
        "backbone_config": {
            "model_type": "sam3_vit_model",
            "hidden_size": HIDDEN,
            "intermediate_size": 3 * HIDDEN,
            "num_hidden_layers": LAYERS,
            "num_attention_heads": HEADS,
            "image_size": SIZE,
            "pretrain_image_size": SIZE,
            "patch_size": PATCH,
            "window_size": GRID,
            "global_attn_indexes": list(range(LAYERS)),
        },
        "fpn_hidden_size": HIDDEN,
        "backbone_feature_sizes": [[4 * GRID, 4 * GRID], [2 * GRID, 2 * GRID], [GRID, GRID]],
    }


def detector_config() -> Sam3LiteTextConfig:
    """The text-prompted detector."""
    block = {"hidden_size": HIDDEN, "intermediate_size": 2 * HIDDEN, "num_attention_heads": HEADS, "dropout": 0.0}
    return Sam3LiteTextConfig(
        vision_config=vision_config(),
        text_config={
            "vocab_size": VOCABULARY_SIZE,
            "hidden_size": 64,
            "intermediate_size": 128,
            "projection_dim": 64,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "max_position_embeddings": CONTEXT,
            "layer_scale_init_value": 0.1,
        },
        geometry_encoder_config={**block, "intermediate_size": HIDDEN, "num_layers": 1, "roi_size": 1},
        detr_encoder_config={**block, "num_layers": 2},
        detr_decoder_config={**block, "num_layers": 3, "num_queries": QUERIES},
        mask_decoder_config={"hidden_size": HIDDEN, "num_attention_heads": HEADS},
    )


def tracker_config() -> Sam3TrackerVideoConfig:
    """The memory tracker; it shares the detector's image encoder and has a pyramid of its own."""
    return Sam3TrackerVideoConfig(
        vision_config=vision_config(),
        prompt_encoder_config={"hidden_size": HIDDEN, "image_size": SIZE, "patch_size": PATCH},
        mask_decoder_config={
            "hidden_size": HIDDEN,
            "mlp_dim": 2 * HIDDEN,
            "num_attention_heads": HEADS,
            "iou_head_hidden_dim": HIDDEN,
            "num_multimask_outputs": 1,
            "dynamic_multimask_via_stability": False,
        },
        image_size=SIZE,
        multimask_output_in_sam=False,
        multimask_output_for_tracking=False,
        memory_attention_hidden_size=HIDDEN,
        memory_attention_num_layers=2,
        memory_attention_feed_forward_hidden_size=2 * HIDDEN,
        memory_attention_dropout=0.0,
        memory_attention_rope_dropout=0.0,
        memory_attention_rope_feat_sizes=[GRID, GRID],
        memory_encoder_hidden_size=HIDDEN,
        memory_encoder_output_channels=64,
        mask_downsampler_embed_dim=HIDDEN,
        memory_fuser_embed_dim=HIDDEN,
        memory_fuser_intermediate_dim=2 * HIDDEN,
        memory_fuser_layer_scale_init_value=0.1,
    )


def video_config() -> Sam3VideoConfig:
    """Detector and tracker together, as the checkpoint folder holds them."""
    return Sam3VideoConfig(
        detector_config=detector_config().to_dict(),
        tracker_config=tracker_config().to_dict(),
        low_res_mask_size=MASK,
        fill_hole_area=0,
        # A track that no detection supports is hidden after 8 to 16 frames, not 30.
        init_trk_keep_alive=8,
        max_trk_keep_alive=16,
        new_det_thresh=0.8,
        # Detections are better than tracks here: they recondition often, and an overlap of 0.1 makes none a track's.
        assoc_iou_thresh=0.3,
        recondition_every_nth_frame=8,
        recondition_on_trk_masks=False,
        high_iou_thresh=0.5,
        # For Maskcast, of which the library keeps what it does not know: see `Rules`. Masks spill over to
        # look-alikes, boxes do not; and the tracker was trained with memories of frames that do not show the object.
        box_margin=0.1,
        select_memories=False,
        # The tracker misses half of the objects that come back; 0.6 is what the association tracker uses too.
        reidentify_appearance=0.6,
    )


def reset_weights(module: nn.Module) -> None:
    """Give linear and convolution layers fan-in scaled weights and zero biases; the library's 0.02 learns slowly."""
    for part in module.modules():
        if isinstance(part, nn.Linear):
            nn.init.normal_(part.weight, 0, (2 / (part.in_features + part.out_features)) ** 0.5)
        elif isinstance(part, nn.Conv2d):
            fan_in = part.in_channels // part.groups * part.kernel_size[0] * part.kernel_size[1]
            nn.init.normal_(part.weight, 0, fan_in**-0.5)
        elif isinstance(part, nn.ConvTranspose2d):
            nn.init.normal_(part.weight, 0, part.in_channels**-0.5)
        else:
            continue
        if part.bias is not None:
            nn.init.zeros_(part.bias)


def new_detector(seed: int) -> Sam3LiteTextModel:
    """An untrained detector."""
    torch.manual_seed(seed)
    detector = Sam3LiteTextModel(detector_config())
    reset_weights(detector)
    return detector


def new_tracker(seed: int) -> Sam3TrackerVideoModel:
    """An untrained tracker without image encoder."""
    torch.manual_seed(seed)
    tracker = Sam3TrackerVideoModel(tracker_config(), remove_vision_encoder=True)
    reset_weights(tracker)
    with torch.no_grad():
        for block in tracker.memory_encoder.memory_fuser.layers:
            block.scale.fill_(0.1)
        # A mask prompt starts as the mean over 4 x 4 pixels, scaled to logits of -3 to 3.
        tracker.mask_downsample.weight.fill_(6 / 16)
        tracker.mask_downsample.bias.fill_(-3)
    return tracker
