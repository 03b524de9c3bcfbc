"""Optimisers, learning-rate schedule by the clock, and checkpoints that a stopped run continues from."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from muon import Muon
from torch import Tensor, nn

from maskcast.files import write_whole


def device_for(name: str) -> torch.device:
    """The device called ``name``; ``auto`` prefers a GPU."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def mixed_precision(device: torch.device) -> torch.autocast:
    """bf16 autocast where the hardware multiplies bf16, else a context that changes nothing: emulation is slow."""
    native = device.type == "cuda" or bool(torch.cpu._is_avx512_bf16_supported())  # noqa: SLF001
    return torch.autocast(device.type, torch.bfloat16, enabled=native)


class Optimiser:
    """Muon for the matrices of transformer blocks, AdamW for everything else, under one learning rate."""

    def __init__(
        self,
        named: Iterable[tuple[str, nn.Parameter]],
        *,
        decay: float = 0.02,
        muon: Callable[[str], bool] = lambda _name: False,
        factor: Callable[[str], float] = lambda _name: 1.0,
    ) -> None:
        matrices: dict[float, list[nn.Parameter]] = {}
        others: dict[tuple[float, float], list[nn.Parameter]] = {}
        for name, parameter in named:
            if not parameter.requires_grad:
                continue
            if parameter.ndim == 2 and muon(name):
                matrices.setdefault(factor(name), []).append(parameter)
            else:
                plain = parameter.ndim < 2 or "embed" in name or "reference" in name or "token" in name
                others.setdefault((factor(name), 0.0 if plain else decay), []).append(parameter)
        self.parts: list[torch.optim.Optimizer] = []
        if matrices:
            groups: list[dict[str, Any]] = [{"params": p, "factor": f} for f, p in matrices.items()]
            self.parts.append(Muon(groups, weight_decay=decay))
        if others:
            groups = [{"params": p, "factor": f, "weight_decay": w} for (f, w), p in others.items()]
            self.parts.append(torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.98)))
        self.parameters = [p for part in self.parts for group in part.param_groups for p in group["params"]]

    def step(self, loss: Tensor, rate: float, *, clip: float) -> float:
        """Back-propagate ``loss`` and update at learning rate ``rate``; returns the gradient norm before clipping."""
        for part in self.parts:
            part.zero_grad()
            for group in part.param_groups:
                group["lr"] = rate * group["factor"]
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.parameters, clip)
        if torch.isfinite(norm):
            for part in self.parts:
                part.step()
        return float(norm)

    def state(self) -> list[dict[str, Any]]:
        """State of all parts, to save."""
        return [part.state_dict() for part in self.parts]

    def restore(self, state: list[dict[str, Any]]) -> None:
        """Continue from a saved state."""
        for part, saved in zip(self.parts, state, strict=True):
            part.load_state_dict(saved)


class Clock:
    """How much of a stage's time budget is used; survives a restart through ``spent``."""

    def __init__(self, minutes: float, spent: float = 0.0) -> None:
        self.budget = minutes * 60
        self._start = time.monotonic() - spent
        self._rang = spent

    @property
    def spent(self) -> float:
        """Seconds of training so far."""
        return time.monotonic() - self._start

    @property
    def share(self) -> float:
        """Used share of the budget, 0 to 1."""
        return min(self.spent / self.budget, 1.0)

    def rings(self, every: float) -> bool:
        """Whether ``every`` seconds have passed since this last said so."""
        if self.spent - self._rang < every:
            return False
        self._rang = self.spent
        return True


def trapezoid(share: float, step: int, *, warm_up: int = 100, flat: float = 0.6, floor: float = 0.02) -> float:
    """Learning-rate factor: linear warm-up by steps, flat, then linear to ``floor`` over the rest of the time."""
    rise = min(1.0, (step + 1) / warm_up)
    fall = 1.0 if share < flat else floor + (1 - floor) * (1 - share) / (1 - flat)
    return rise * fall


def save(path: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint so that a crash leaves the previous one intact."""
    write_whole(path, lambda part: torch.save(state, part))


def load(path: Path) -> dict[str, Any]:
    """Read a checkpoint onto the CPU."""
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=False)
    return state


class Averages:
    """Running means of named figures between two log lines."""

    def __init__(self) -> None:
        self._sums: dict[str, float] = {}
        self._counts: dict[str, int] = {}

    def add(self, figures: dict[str, float]) -> None:
        """Count one step's figures."""
        for name, value in figures.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
            self._counts[name] = self._counts.get(name, 0) + 1

    def line(self) -> str:
        """The means as ``name value`` pairs; starts over."""
        text = " ".join(f"{name} {total / self._counts[name]:.3f}" for name, total in self._sums.items())
        self._sums.clear()
        self._counts.clear()
        return text
