"""The thresholds of the memory tracker, and the switches where it departs from its reference on purpose."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

from trackers.defaults import CONFIRM_AFTER_FRAMES, HOT_START_FRAMES, LOST_AFTER_SECONDS, MAX_TRACKS


@dataclass(frozen=True, kw_only=True)
class Rules:
    """How detections and remembered objects are brought together in each frame.

    Fields up to `hotstart_dup_thresh` have the names, meanings and defaults of `transformers.Sam3VideoConfig`; a
    checkpoint's own values are taken from its config. The others are Maskcast's; `Rules.reference` sets them so that
    the tracker repeats `Sam3VideoModel` in streaming mode.

    Attributes:
        score_threshold_detection: detections must score above it.
        det_nms_thresh: mask IoU above which the lower of two detections of a prompt falls; 0 switches NMS off.
        assoc_iou_thresh: mask IoU from which a detection belongs to a track, and so starts none.
        trk_assoc_iou_thresh: mask IoU from which a detection supports a track.
        new_det_thresh: score from which a detection without a track starts one.
        recondition_every_nth_frame: how often confident detections recondition the tracks; 0 for never.
        recondition_on_trk_masks: recondition with the track's own mask (True) or with the detection's.
        high_conf_thresh: score of the detection, and logit of the track, from which a track is reconditioned.
        high_iou_thresh: mask IoU of the two, from which a track is reconditioned.
        suppress_overlapping_based_on_recent_occlusion_threshold: of two tracks of a prompt that overlap by this
            mask IoU, the one that was hidden more recently loses its mask; 0 switches it off.
        fill_hole_area: holes and sprinkles up to this area in mask pixels are closed and removed; 0 for none.
        init_trk_keep_alive, max_trk_keep_alive, min_trk_keep_alive: a track's credit at its start, at most and at
            least; each frame with a detection adds one, each frame without takes one.
        decrease_trk_keep_alive_for_empty_masklets: a frame in which the track is empty takes one as well.
        hotstart_unmatch_thresh: frames without a detection after which a track in its hot start is removed.
        hotstart_dup_thresh: frames shared with an older track after which a track in its hot start is removed.
        hot_start: frames by which results are held back, and during which a track can still be removed as if it had
            never been; 0 for results at once, without removal.
        hide_unmatched: a track without credit counts as not seen, so that it ends. The reference keeps it.
        binary_memory_on_start: in a frame in which tracks start, the memories of the others are made from their raw
            masks, binary and free to overlap. This is what the reference does; SAM 3's own code does not.
        select_memories: remember the last frames in which an object was seen, as SAM 3's own code does, not the last
            frames, as the reference does.
        conditioning_pointers: most conditioning frames whose object pointers are kept; the reference keeps all.
        confirm_after: frames in a row in which a new track must be seen and detected to be confirmed.
        lost_after: seconds of media time after which a track that is not seen ends; the reference ends none.
        max_tracks: most living tracks of a stream, lost ones included.
        adaptive: a track whose place a detection says plainly takes its mask without being propagated, see
            `trackers.memory.adaptive`.
        box_margin: detections' masks are cut off outside of their boxes, widened by this share of their sides; None for
            masks as they are (`trackers.nano_rules`).
        reidentify_appearance: a detection that no track claims is a lost track of its prompt, seen again, if their
            appearances agree by at least this cosine (`trackers.appearance`); None to leave it to the memory attention
            alone whether a lost track is found again (`trackers.nano_rules`).
    """

    score_threshold_detection: float = 0.5
    det_nms_thresh: float = 0.1
    assoc_iou_thresh: float = 0.1
    trk_assoc_iou_thresh: float = 0.5
    new_det_thresh: float = 0.7
    recondition_every_nth_frame: int = 16
    recondition_on_trk_masks: bool = True
    high_conf_thresh: float = 0.8
    high_iou_thresh: float = 0.8
    suppress_overlapping_based_on_recent_occlusion_threshold: float = 0.7
    fill_hole_area: int = 16
    init_trk_keep_alive: int = 30
    max_trk_keep_alive: int = 30
    min_trk_keep_alive: int = -1
    decrease_trk_keep_alive_for_empty_masklets: bool = False
    hotstart_unmatch_thresh: int = 8
    hotstart_dup_thresh: int = 8

    hot_start: int = HOT_START_FRAMES
    hide_unmatched: bool = True
    binary_memory_on_start: bool = True
    select_memories: bool = True
    conditioning_pointers: int = 4
    confirm_after: int = CONFIRM_AFTER_FRAMES
    lost_after: float = LOST_AFTER_SECONDS
    max_tracks: int = MAX_TRACKS
    adaptive: bool = False

    box_margin: float | None = None
    reidentify_appearance: float | None = None

    @classmethod
    def from_config(cls, config: Any, **changes: Any) -> Rules:
        """The rules of a checkpoint: its `Sam3VideoConfig`, then `changes`."""
        stored = {field.name: getattr(config, field.name) for field in fields(cls) if hasattr(config, field.name)}
        return cls(**(stored | changes))

    @classmethod
    def reference(cls, config: Any, **changes: Any) -> Rules:
        """The rules under which the tracker repeats `Sam3VideoModel` in streaming mode without optional kernels."""
        same = cls.from_config(
            config,
            hide_unmatched=False,
            box_margin=None,
            select_memories=False,
            adaptive=False,
            reidentify_appearance=None,
            confirm_after=1,
            lost_after=float("inf"),
        )
        # Without the `kernels` package the reference skips both.
        return replace(same, **({"det_nms_thresh": 0.0, "fill_hole_area": 0} | changes))
