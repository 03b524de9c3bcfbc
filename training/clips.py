"""Renders clips of moving shapes: crossing, leaving, re-entering and hidden objects, with a mask and an id for each.

Frames are ``uint8`` RGB ``(T, SIZE, SIZE, 3)``; label maps ``uint8`` ``(T, SIZE, SIZE)`` where ``i + 1`` marks the
visible part of object ``i`` in every frame of the clip.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scenes import (
    SIZE,
    Camera,
    FloatImage,
    Image,
    Labels,
    Look,
    Pose,
    Scene,
    background,
    choose_kinds,
    develop,
    paint,
    random_camera,
    random_look,
    stencil,
)

_MARGIN_PIXELS = 16
"""Background beyond the picture's edges, for camera shake."""


@dataclass(frozen=True)
class ClipRules:
    """Limits of a random clip; lengths in pixels, times in frames."""

    frames: int = 60
    objects: tuple[int, int] = (2, 5)
    size: tuple[float, float] = (30.0, 80.0)
    speed: tuple[float, float] = (0.5, 5.0)
    abrupt: float = 0.02
    """Chance per frame that an object changes its direction at once."""
    leaving: float = 0.25
    """Chance that an object may leave the picture (it comes back)."""
    panels: float = 0.4
    """Chance of a grey panel that objects pass behind."""
    shake: float = 0.3
    """Chance that the camera shakes."""
    confusing: float = 0.4
    """As in `scenes.Rules`."""


@dataclass(frozen=True)
class Actor:
    """One object of a clip."""

    look: Look
    poses: tuple[Pose, ...]


@dataclass(frozen=True)
class Panel:
    """A grey upright board in front of all objects; it is no object itself."""

    left: int
    width: int
    top: int
    height: int
    grey: float


@dataclass(frozen=True)
class Clip:
    """Rendered frames and their truth."""

    frames: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    looks: tuple[Look, ...]


def visible(labels: NDArray[np.uint8], label: int) -> NDArray[np.bool_]:
    """In which frames an object counts as present: at least 60 of its pixels show; ``(T,)``."""
    return np.asarray((labels == label).sum((1, 2)) >= 60)


def random_path(rng: np.random.Generator, rules: ClipRules) -> tuple[Pose, ...]:
    """A path that drifts, turns, sometimes jumps to a new heading, and bounces off the edges or leaves and returns."""
    radius = float(rng.uniform(*rules.size)) / 2
    edge = -1.3 * radius if rng.random() < rules.leaving else 0.7 * radius
    x, y = (float(v) for v in rng.uniform(radius, SIZE - radius, 2))
    heading, speed = float(rng.uniform(0, 2 * np.pi)), float(rng.uniform(*rules.speed))
    turn, spin = float(rng.normal(0, 0.03)), float(rng.normal(0, 0.04))
    angle, phase = (float(v) for v in rng.uniform(0, 2 * np.pi, 2))
    swell = float(rng.uniform(0, 0.2))
    pace = float(rng.uniform(0.02, 0.1))
    poses = []
    for frame in range(rules.frames):
        poses.append(Pose(x, y, radius * (1 + swell * float(np.sin(phase + pace * frame))), angle))
        if rng.random() < rules.abrupt:
            heading, speed = float(rng.uniform(0, 2 * np.pi)), float(rng.uniform(*rules.speed))
        heading += turn + float(rng.normal(0, 0.03))
        x, y, angle = x + speed * float(np.cos(heading)), y + speed * float(np.sin(heading)), angle + spin
        if (x < edge and np.cos(heading) < 0) or (x > SIZE - edge and np.cos(heading) > 0):
            heading = float(np.pi) - heading
        if (y < edge and np.sin(heading) < 0) or (y > SIZE - edge and np.sin(heading) > 0):
            heading = -heading
    return tuple(poses)


def random_panel(rng: np.random.Generator) -> Panel:
    """A board of random size; wide ones hide an object fully for a while."""
    width, height = int(rng.integers(24, 100)), int(rng.integers(90, SIZE + 1))
    left, top = int(rng.integers(20, SIZE - width - 20)), int(rng.integers(0, SIZE - height + 1))
    return Panel(left, width, top, height, float(rng.uniform(60, 190)))


def camera_path(rng: np.random.Generator, frames: int, strength: float) -> NDArray[np.float64]:
    """Offsets of a hand-held camera, ``(frames, 2)``, at most ``_MARGIN`` pixels."""
    if strength == 0:
        return np.zeros((frames, 2))
    walk = np.cumsum(rng.normal(0, strength, (frames, 2)), axis=0) * 0.5
    walk -= walk.mean(0)
    return np.clip(walk + rng.normal(0, strength * 0.5, (frames, 2)), -_MARGIN_PIXELS, _MARGIN_PIXELS)


def _hang(canvas: FloatImage, labels: Labels, panel: Panel, offset: NDArray[np.float64]) -> None:
    """Draw a panel over the objects."""
    left, top = int(panel.left + offset[0]), int(panel.top + offset[1])
    rows, columns = slice(max(top, 0), max(top + panel.height, 0)), slice(max(left, 0), max(left + panel.width, 0))
    area = canvas[rows, columns]
    area[:] = panel.grey
    area[:, ::8] *= 0.9
    labels[rows, columns] = 0


def film(
    rng: np.random.Generator,
    actors: list[Actor],
    panels: list[Panel],
    offsets: NDArray[np.float64],
    *,
    hidden: frozenset[int] = frozenset(),
    camera: Camera | None = None,
    size: int = SIZE,
) -> Clip:
    """Render a clip from its script; later actors are in front, panels in front of all.

    Args:
        rng: Source of background and noise.
        actors: The objects; all paths have one length.
        panels: Boards in front.
        offsets: Camera offsets ``(T, 2)``, x and y.
        hidden: Objects that pass behind the panels; the others pass in front. Empty means all.
        camera: Exposure, noise and blur; random if left out.
        size: Side of the picture, pixels.
    """
    camera = camera or random_camera(rng)
    scenery = background(rng, size + 2 * _MARGIN_PIXELS)
    behind = [i for i in range(len(actors)) if not hidden or i in hidden]
    before = [i for i in range(len(actors)) if i not in behind]
    frames: list[Image] = []
    truth: list[Labels] = []
    for frame, offset in enumerate(offsets):
        x, y = (int(v) for v in np.round(_MARGIN_PIXELS - offset))
        canvas = scenery[y : y + size, x : x + size].copy()
        labels = np.zeros((size, size), np.uint8)
        for group, boards in ((behind, panels), (before, [])):
            for index in group:
                pose = actors[index].poses[frame]
                moved = Pose(pose.x + float(offset[0]), pose.y + float(offset[1]), pose.radius, pose.angle)
                spot = stencil(actors[index].look, moved, size)
                if spot is not None:
                    paint(canvas, labels, actors[index].look, moved, spot, index + 1)
            for panel in boards:
                _hang(canvas, labels, panel, offset)
        frames.append(develop(rng, canvas, camera))
        truth.append(labels)
    return Clip(np.stack(frames), np.stack(truth), tuple(actor.look for actor in actors))


def render_clip(rng: np.random.Generator, rules: ClipRules | None = None) -> Clip:
    """Render one random clip."""
    rules = rules or ClipRules()
    shapes, colours = choose_kinds(rng, rules.confusing)
    actors = []
    for _ in range(int(rng.integers(rules.objects[0], rules.objects[1] + 1))):
        look = random_look(rng, int(rng.choice(shapes)), int(rng.choice(colours)))
        actors.append(Actor(look, random_path(rng, rules)))
    panels = [random_panel(rng)] if rng.random() < rules.panels else []
    strength = float(rng.uniform(0.3, 2.0)) if rng.random() < rules.shake else 0.0
    return film(rng, actors, panels, camera_path(rng, rules.frames, strength))


def render_frame(rng: np.random.Generator) -> Scene:
    """One frame as clips have them: objects hidden to any degree, cut by panels and by the picture's edges."""
    clip = render_clip(rng, ClipRules(frames=1, objects=(1, 6), size=(28, 84), panels=0.6, shake=0.0))
    return Scene(clip.frames[0], clip.labels[0], clip.looks)


def render_occlusion(rng: np.random.Generator, frames: int = 60, gone: int = 10) -> tuple[Clip, int, int]:
    """A clip in which object 0 passes behind a panel and is wholly hidden for ``gone`` frames.

    Returns the clip, and the first and the last frame of the hidden time as measured from the rendered masks.
    """
    shapes, colours = choose_kinds(rng, 0.3)
    radius, speed = float(rng.uniform(16, 24)), float(rng.uniform(2.2, 3.6))
    reach = 1.25 * radius
    look = random_look(rng, int(rng.choice(shapes)), int(rng.choice(colours)))
    start = (frames - gone) / 2 - 2 * reach / speed
    width = round(2 * reach + speed * gone)
    left = int((SIZE - width) / 2 + rng.uniform(-10, 10))
    direction = 1 if rng.random() < 0.5 else -1
    enter = left if direction > 0 else left + width
    height, spin, angle = float(rng.uniform(70, SIZE - 70)), float(rng.normal(0, 0.04)), float(rng.uniform(0, 6.28))
    poses = []
    for frame in range(frames):
        x = enter + direction * (speed * (frame - start) - reach)
        poses.append(Pose(float(np.clip(x, -60, SIZE + 60)), height, radius, angle + spin * frame))
    others = ClipRules(frames=frames, size=(30, 56), speed=(0.5, 2.0), leaving=0.0, abrupt=0.0)
    actors = [Actor(look, tuple(poses))]
    for _ in range(2):
        other = random_look(rng, int(rng.choice(shapes)), int(rng.choice(colours)))
        actors.append(Actor(other, random_path(rng, others)))
    panel = Panel(left, width, 0, SIZE, float(rng.uniform(60, 190)))
    clip = film(rng, actors, [panel], np.zeros((frames, 2)), hidden=frozenset({0}))
    away = np.flatnonzero((clip.labels == 1).sum((1, 2)) == 0)
    return clip, int(away[0]) if away.size else frames, int(away[-1]) if away.size else frames
