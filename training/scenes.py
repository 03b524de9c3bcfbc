"""Renders single pictures of coloured shapes, with a mask for every object.

Pictures are ``uint8`` RGB of shape ``(SIZE, SIZE, 3)``; label maps are ``uint8`` of shape ``(SIZE, SIZE)`` where
0 is background and ``i + 1`` is the visible part of object ``i``. Everything random comes from the generator that
the caller passes in, so a seed names a scene.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

cv2.setNumThreads(1)

SIZE = 224
SHAPES = ("circle", "square", "triangle", "star", "ring", "cross")
COLOURS = ("red", "green", "blue", "yellow", "purple", "orange")

Image = NDArray[np.uint8]
Labels = NDArray[np.uint8]
FloatImage = NDArray[np.float32]

_RGB = np.array(
    [[222, 32, 32], [40, 170, 55], [40, 75, 225], [238, 218, 40], [145, 50, 195], [247, 137, 25]], np.float32
)
_SUPERSAMPLING = 1.0 / 16  # cv2.fillPoly takes fixed-point coordinates with 4 fractional bits
_FRACTION_BITS = 4


@dataclass(frozen=True)
class Look:
    """What an object is and how its surface looks; constant over a clip."""

    shape: int
    """Index into ``SHAPES``."""
    colour: int
    """Index into ``COLOURS``."""
    rgb: tuple[float, float, float]
    """Surface colour, 0 to 255."""
    shading: float
    """Strength of the light gradient across the object, 0 to 0.35."""
    light: float
    """Direction of that gradient, radians."""
    texture: int
    """0 plain, 1 stripes, 2 mottled."""
    texture_strength: float
    """Relative brightness change of the texture, 0 to 0.2."""
    shadow: float
    """Darkness of the drop shadow, 0 (none) to 0.5."""


@dataclass(frozen=True)
class Pose:
    """Where an object is in one picture."""

    x: float
    """Centre, pixels from the left edge."""
    y: float
    """Centre, pixels from the top edge."""
    radius: float
    """Half of the object's size, pixels."""
    angle: float
    """Rotation, radians."""


@dataclass(frozen=True)
class Rules:
    """Limits of a random scene."""

    objects: tuple[int, int] = (1, 5)
    """Fewest and most objects, inclusive."""
    size: tuple[float, float] = (28.0, 96.0)
    """Smallest and largest object, pixels across."""
    occlusion: float = 0.5
    """Largest hidden share of any object."""
    confusing: float = 0.5
    """Chance that the scene's objects share few colours (and, independently, few shapes)."""


@dataclass(frozen=True)
class Scene:
    """One rendered picture and its truth."""

    image: Image
    labels: Labels
    looks: tuple[Look, ...]


def _ring_of_points(count: int, radius: float, start: float = 0.0) -> NDArray[np.float64]:
    angles = start + np.arange(count) * (2 * np.pi / count)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1) * radius


@lru_cache(maxsize=len(SHAPES))
def _outlines(shape: int) -> tuple[NDArray[np.float64], ...]:
    """Polygons of a shape of radius 1: the filled outline first, then holes; each ``(points, 2)``."""
    match SHAPES[shape]:
        case "circle":
            return (_ring_of_points(48, 1.0),)
        case "square":
            return (_ring_of_points(4, 1.2, np.pi / 4),)
        case "triangle":
            return (_ring_of_points(3, 1.25),)
        case "star":
            star = _ring_of_points(10, 1.2)
            star[1::2] *= 0.42
            return (star,)
        case "ring":
            return (_ring_of_points(48, 1.0), _ring_of_points(48, 0.55))
        case _:
            a, b = 0.34, 1.0
            cross = [(-a, -b), (a, -b), (a, -a), (b, -a), (b, a), (a, a), (a, b), (-a, b), (-a, a), (-b, a)]
            return (np.array([*cross, (-b, -a), (-a, -a)], np.float64) * 1.05,)


@lru_cache(maxsize=1)
def _noise_bank() -> FloatImage:
    """Unit-variance noise, ``(512, 512)``, from which pictures take random windows."""
    return np.random.default_rng(7).standard_normal((512, 512)).astype(np.float32)


@lru_cache(maxsize=1)
def _mottle_bank() -> FloatImage:
    """Smooth noise between about -1 and 1, ``(512, 512)``."""
    smooth = cv2.GaussianBlur(_noise_bank(), (0, 0), 2.5)
    return np.asarray(np.clip(smooth / (2 * smooth.std()), -1, 1), np.float32)


def _window(bank: FloatImage, rng: np.random.Generator, height: int, width: int) -> FloatImage:
    top, left = int(rng.integers(bank.shape[0] - height + 1)), int(rng.integers(bank.shape[1] - width + 1))
    return bank[top : top + height, left : left + width]


def _muted_colour(rng: np.random.Generator) -> FloatImage:
    """A background colour: any hue, but never as saturated as an object; ``(3,)``, 0 to 255."""
    hsv = np.array([[[rng.uniform(0, 180), rng.uniform(0, 105), rng.uniform(40, 230)]]], np.uint8)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0, 0].astype(np.float32)


def background(rng: np.random.Generator, size: int = SIZE) -> FloatImage:
    """A random background, ``(size, size, 3)`` float32, 0 to 255: gradient, clouds, stripes, blobs or tiles."""
    small = 56
    steps = np.linspace(0, 1, small, dtype=np.float32)
    theta = rng.uniform(0, 2 * np.pi)
    slope = steps[None] * np.cos(theta) + steps[:, None] * np.sin(theta)
    kind = int(rng.integers(5))
    blend: FloatImage
    if kind == 0:
        blend = (slope - slope.min()) / (np.ptp(slope) + 1e-6)
    elif kind == 1:
        cells = int(rng.choice([6, 14, 28, 56]))
        blend = rng.random((cells, cells), dtype=np.float32)
    elif kind == 2:
        waves = np.sin(slope * np.float32(2 * np.pi * rng.uniform(2, 9))) * np.float32(rng.uniform(0.5, 2)) + 0.5
        blend = np.clip(waves, 0, 1)
    elif kind == 3:
        blend = np.zeros((small, small), np.float32)
        for _ in range(int(rng.integers(3, 9))):
            x, y, r = (int(v) for v in rng.integers((0, 0, 4), (small, small, 16)))
            cv2.circle(blend, (x, y), r, float(rng.uniform(0.3, 1)), -1)
        blend = np.asarray(cv2.GaussianBlur(blend, (0, 0), 2.5), np.float32)
    else:
        cells = int(rng.integers(3, 9))
        blend = (np.indices((cells, cells)).sum(0) % 2).astype(np.float32) * rng.uniform(0.2, 0.8)
    smooth = cv2.INTER_NEAREST if kind == 4 else cv2.INTER_LINEAR
    weight = cv2.resize(np.asarray(blend, np.float32), (size, size), interpolation=smooth)[..., None]
    first, second = _muted_colour(rng), _muted_colour(rng)
    return np.asarray(first + (second - first) * weight, np.float32)


def random_look(rng: np.random.Generator, shape: int, colour: int) -> Look:
    """Draw the surface of one object of the given shape and colour."""
    rgb = np.clip(_RGB[colour] * rng.uniform(0.7, 1.08) + rng.normal(0, 7, 3), 0, 255)
    return Look(
        shape=shape,
        colour=colour,
        rgb=(float(rgb[0]), float(rgb[1]), float(rgb[2])),
        shading=float(rng.uniform(0, 0.35)),
        light=float(rng.uniform(0, 2 * np.pi)),
        texture=int(rng.choice(3, p=(0.5, 0.25, 0.25))),
        texture_strength=float(rng.uniform(0.05, 0.2)),
        shadow=float(rng.uniform(0.15, 0.5)) if rng.random() < 0.4 else 0.0,
    )


@dataclass(frozen=True)
class Stencil:
    """An object's coverage inside its box of the picture."""

    top: int
    left: int
    alpha: NDArray[np.uint8]
    """Coverage 0 to 255, ``(height, width)``."""

    @property
    def box(self) -> tuple[slice, slice]:
        """Rows and columns of the picture that ``alpha`` covers."""
        height, width = self.alpha.shape
        return slice(self.top, self.top + height), slice(self.left, self.left + width)


def stencil(look: Look, pose: Pose, size: int = SIZE) -> Stencil | None:
    """Rasterise an object, anti-aliased; ``None`` when nothing of it lies inside the picture."""
    reach = pose.radius * 1.25 + 2
    left, top = max(int(pose.x - reach), 0), max(int(pose.y - reach), 0)
    right, bottom = min(int(pose.x + reach) + 2, size), min(int(pose.y + reach) + 2, size)
    if right <= left or bottom <= top:
        return None
    alpha = np.zeros((bottom - top, right - left), np.uint8)
    turn = np.array([[np.cos(pose.angle), np.sin(pose.angle)], [-np.sin(pose.angle), np.cos(pose.angle)]])
    for index, outline in enumerate(_outlines(look.shape)):
        points = outline * pose.radius @ turn + (pose.x - left, pose.y - top)
        fixed = np.round(points / _SUPERSAMPLING).astype(np.int32)
        cv2.fillPoly(alpha, [fixed], 255 if index == 0 else 0, cv2.LINE_AA, _FRACTION_BITS)
    return Stencil(top, left, alpha)


def paint(canvas: FloatImage, labels: Labels, look: Look, pose: Pose, spot: Stencil, label: int) -> None:
    """Draw an object over ``canvas`` (float32 RGB); write ``label`` into ``labels`` where it covers half a pixel."""
    rows, columns = spot.box
    alpha = spot.alpha.astype(np.float32) * (1 / 255)
    area = canvas[rows, columns]
    if look.shadow:
        shift = 0.14 * pose.radius
        moved = cv2.warpAffine(alpha, np.array([[1, 0, shift], [0, 1, shift]], np.float32), alpha.shape[::-1])
        area *= 1 - look.shadow * cv2.blur(moved, (5, 5))[..., None]
    height, width = alpha.shape
    u = (np.arange(width, dtype=np.float32) + (spot.left - pose.x)) / pose.radius
    v = (np.arange(height, dtype=np.float32) + (spot.top - pose.y)) / pose.radius
    angle = look.light + pose.angle
    across = u[None] * np.float32(np.cos(angle)) + v[:, None] * np.float32(np.sin(angle))
    surface = 1 + look.shading * 0.5 * across
    if look.texture == 1:
        surface *= 1 + look.texture_strength * np.sign(np.sin(across * 9))
    elif look.texture == 2:
        surface *= 1 + look.texture_strength * _mottle_bank()[:height, :width]
    colour = np.minimum(surface[..., None] * np.array(look.rgb, np.float32), 255)
    area += alpha[..., None] * (colour - area)
    labels[rows, columns][spot.alpha > 127] = label


@dataclass(frozen=True)
class Camera:
    """How the sensor renders light; constant over a clip."""

    exposure: float
    """Factor on all brightness."""
    noise: float
    """Standard deviation of the sensor noise, grey levels."""
    blur: float
    """Standard deviation of the lens blur, pixels; 0 for none."""


def random_camera(rng: np.random.Generator) -> Camera:
    """A camera; one in five is slightly out of focus."""
    blur = float(rng.uniform(0.4, 1.0)) if rng.random() < 0.2 else 0.0
    return Camera(float(rng.uniform(0.8, 1.12)), float(rng.uniform(0, 8)), blur)


def develop(rng: np.random.Generator, canvas: FloatImage, camera: Camera) -> Image:
    """Turn a painted canvas into a picture."""
    height, width = canvas.shape[:2]
    noise = _window(_noise_bank(), rng, height, width) * np.float32(camera.noise)
    picture = canvas * np.float32(camera.exposure) + noise[..., None]
    if camera.blur:
        picture = cv2.GaussianBlur(picture, (0, 0), camera.blur)
    return np.clip(picture, 0, 255).astype(np.uint8)


def choose_kinds(rng: np.random.Generator, confusing: float) -> tuple[Sequence[int], Sequence[int]]:
    """The shapes and the colours that a scene may use: all six, or only three of them to make look-alikes."""
    shapes = rng.choice(6, 3, replace=False) if rng.random() < confusing else np.arange(6)
    colours = rng.choice(6, 3, replace=False) if rng.random() < confusing else np.arange(6)
    return [int(s) for s in shapes], [int(c) for c in colours]


def render_scene(rng: np.random.Generator, rules: Rules | None = None) -> Scene:
    """Render one random scene within ``rules``; an object that finds no room after a few tries is left out."""
    rules = rules or Rules()
    canvas = background(rng)
    labels = np.zeros((SIZE, SIZE), np.uint8)
    shapes, colours = choose_kinds(rng, rules.confusing)
    looks: list[Look] = []
    whole: list[int] = []
    visible: list[int] = []
    for _ in range(int(rng.integers(rules.objects[0], rules.objects[1] + 1))):
        look = random_look(rng, int(rng.choice(shapes)), int(rng.choice(colours)))
        for _attempt in range(8):
            radius = float(rng.uniform(*rules.size)) / 2
            x, y = (float(p) for p in rng.uniform(radius * 0.9, SIZE - radius * 0.9, 2))
            pose = Pose(x, y, radius, float(rng.uniform(0, 2 * np.pi)))
            spot = stencil(look, pose)
            if spot is None:
                continue
            under = labels[spot.box][spot.alpha > 127]
            lost = np.bincount(under, minlength=len(looks) + 1)[1:]
            remains = [v - int(x) for v, x in zip(visible, lost, strict=True)]
            if under.size < 60 or any(r < w * (1 - rules.occlusion) for r, w in zip(remains, whole, strict=True)):
                continue
            paint(canvas, labels, look, pose, spot, len(looks) + 1)
            looks.append(look)
            whole.append(int(under.size))
            visible = [*remains, int(under.size)]
            break
    return Scene(develop(rng, canvas, random_camera(rng)), labels, tuple(looks))
