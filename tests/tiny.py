"""Tiny checkpoints of the real classes, with random weights: they run the whole code in milliseconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import (
    PreTrainedTokenizerFast,
    Sam3Config,
    Sam3LiteTextConfig,
    Sam3LiteTextModel,
    Sam3Model,
    Sam3VideoConfig,
    Sam3VideoModel,
)

POSITIONS = 77
IMAGE_SIZE = 112
HIDDEN = 128


def tokenizer() -> PreTrainedTokenizerFast:
    """Letters as tokens; the end token has the largest id, as the pooling of the text encoder requires."""
    symbols = ["<pad>", "<unk>", "<start>", *"abcdefghijklmnopqrstuvwxyz0123456789", "<end>"]
    vocabulary = {symbol: index for index, symbol in enumerate(symbols)}
    core = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    core.normalizer = normalizers.Lowercase()
    core.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    core.post_processor = processors.TemplateProcessing(
        single="<start> $A <end>", special_tokens=[("<start>", 2), ("<end>", vocabulary["<end>"])]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token="<pad>", unk_token="<unk>", bos_token="<start>", eos_token="<end>"
    )


def configuration() -> Sam3LiteTextConfig:
    side = IMAGE_SIZE // 14
    shared = {"hidden_size": HIDDEN, "num_attention_heads": 4}
    return Sam3LiteTextConfig(
        vision_config={
            "model_type": "sam3_vision_model",
            "backbone_config": {
                "model_type": "sam3_vit_model",
                "hidden_size": 64,
                "intermediate_size": 64,
                "num_hidden_layers": 2,
                "num_attention_heads": 2,
                "image_size": IMAGE_SIZE,
                "patch_size": 14,
                "window_size": 4,
                "global_attn_indexes": [1],
                "pretrain_image_size": IMAGE_SIZE,
            },
            "fpn_hidden_size": HIDDEN,
            "backbone_feature_sizes": [[side * 4, side * 4], [side * 2, side * 2], [side, side]],
        },
        text_config={
            "vocab_size": 64,
            "hidden_size": 32,
            "intermediate_size": 32,
            "projection_dim": 32,
            "num_hidden_layers": 3,
            "num_attention_heads": 2,
            "max_position_embeddings": 16,
        },
        geometry_encoder_config={"num_layers": 1, "intermediate_size": 32, "roi_size": 2, **shared},
        detr_encoder_config={"num_layers": 1, "intermediate_size": 64, **shared},
        detr_decoder_config={"num_layers": 2, "intermediate_size": 64, "num_queries": 12, **shared},
        mask_decoder_config=shared,
    )


def _lengthen(detector: Sam3LiteTextModel) -> None:
    """Give the text encoder as many positions as the published ones have; no other weight is drawn otherwise for it."""
    table = detector.text_encoder.embeddings.position_embedding
    width = table.position_embedding.shape[-1]
    drawn = torch.randn(1, 1, POSITIONS, width, generator=torch.Generator().manual_seed(1))
    table.position_embedding = torch.nn.Parameter(drawn * width**-0.5)
    detector.config.text_config.max_position_embeddings = POSITIONS


def full_configuration() -> Sam3Config:
    """The same with SAM 3's own kind of text encoder, CLIP's, for 32 tokens."""
    text = {
        "model_type": "clip_text_model",
        "vocab_size": 64,
        "hidden_size": 32,
        "intermediate_size": 32,
        "projection_dim": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "max_position_embeddings": 32,
        "hidden_act": "gelu",
    }
    lite = configuration().to_dict()
    return Sam3Config(
        text_config=text, **{key: lite[key] for key in Sam3Config.sub_configs_defaults if key != "text_config"}
    )


def model(seed: int = 0, *, full: bool = False) -> Sam3LiteTextModel | Sam3Model:
    """A detector that finds things: its weights are random, but its scores are spread around the threshold."""
    torch.manual_seed(seed)
    detector = Sam3Model(full_configuration()).eval() if full else Sam3LiteTextModel(configuration()).eval()
    if not full:
        _lengthen(detector)
    for name, parameter in detector.named_parameters():
        # Fresh weights of std 0.02 let nothing through; fan-in scale makes every path carry signal.
        if parameter.ndim > 1 and "embed" not in name:
            torch.nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5)
    with torch.no_grad():
        detector.detr_decoder.presence_head.layer3.bias.fill_(10.0)
        detector.dot_product_scoring.query_proj.weight.mul_(8.0)
    return detector


def save(folder: Path, seed: int = 0, *, full: bool = False) -> Path:
    model(seed, full=full).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


def video_configuration(*, full: bool = False, **rules: float) -> Sam3VideoConfig:
    """The tiny detector with a tiny tracker; `rules` are fields of `Sam3VideoConfig`."""
    detector = full_configuration() if full else configuration()
    side = IMAGE_SIZE // 14
    tracker = {
        "model_type": "sam3_tracker_video",
        "image_size": IMAGE_SIZE,
        "vision_config": detector.vision_config.to_dict(),
        "prompt_encoder_config": {"hidden_size": HIDDEN, "image_size": IMAGE_SIZE, "patch_size": 14},
        "mask_decoder_config": {
            "hidden_size": HIDDEN,
            "mlp_dim": 64,
            "iou_head_hidden_dim": HIDDEN,
            "num_attention_heads": 4,
        },
        "memory_attention_hidden_size": HIDDEN,
        "memory_attention_num_layers": 2,
        "memory_attention_feed_forward_hidden_size": 64,
        "memory_attention_rope_feat_sizes": [side, side],
        "memory_encoder_hidden_size": HIDDEN,
        "memory_encoder_output_channels": 64,
        "mask_downsampler_embed_dim": HIDDEN,
        "memory_fuser_embed_dim": HIDDEN,
        "memory_fuser_intermediate_dim": 64,
    }
    return Sam3VideoConfig(
        detector_config=detector.to_dict(), tracker_config=tracker, low_res_mask_size=side * 4, **rules
    )


def video_model(seed: int = 2, *, full: bool = False, **rules: float) -> Sam3VideoModel:
    """Detector and tracker with random weights, adjusted so that detections and tracks live."""
    torch.manual_seed(seed)
    video = Sam3VideoModel(video_configuration(full=full, **rules)).eval()
    if not full:
        _lengthen(video.detector_model)
    for name, parameter in video.named_parameters():
        if parameter.ndim > 1 and "embed" not in name:
            torch.nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5)
    video.detector_model.load_state_dict(model(seed, full=full).state_dict())
    tracker = video.tracker_model
    with torch.no_grad():
        let_memory_matter(tracker)
        tracker.mask_decoder.pred_obj_score_head.proj_out.bias.fill_(-16.0)
        # Learned from zero, these would say nothing.
        for parameter in (
            tracker.no_memory_embedding,
            tracker.memory_temporal_positional_encoding,
            tracker.no_object_pointer,
            tracker.occlusion_spatial_embedding_parameter,
        ):
            torch.nn.init.normal_(parameter, std=0.5)
    return video


@torch.no_grad()
def let_memory_matter(tracker: Any) -> None:
    """Set the gains of a random tracker, of SAM 3 or SAM 2.

    With these memory matters, so that tracks of one frame differ, but not so much that the recurrent network is
    chaotic: then rounding errors of 1e-7 would be other masks after twenty frames.
    """
    for layer in tracker.memory_attention.layers:
        layer.cross_attn_image.q_proj.weight.mul_(0.5)
        layer.cross_attn_image.o_proj.weight.mul_(1.5)
    tracker.memory_encoder.mask_downsampler.final_conv.weight.mul_(4.0)
    tracker.mask_decoder.conv_s0.weight.mul_(0.3)
    tracker.mask_decoder.conv_s1.weight.mul_(0.3)
    tracker.mask_decoder.pred_obj_score_head.proj_out.weight.mul_(30.0)


def save_video(folder: Path, seed: int = 2, *, full: bool = False, **rules: float) -> Path:
    """One `sam3_video` folder: detector, tracker and tokenizer."""
    video_model(seed, full=full, **rules).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder
