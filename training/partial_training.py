"""Training of a few parameters of a finished model: clock, running average, checkpoints."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from schedule import Averages, Clock, Optimiser, load, save, trapezoid
from torch import Tensor, nn
from transformers import Sam3VideoModel

_EMA = 0.998


def arguments(purpose: str | None, *, rate: float, seed: int) -> argparse.ArgumentParser:
    """The options that stages 4 and 5 share."""
    parser = argparse.ArgumentParser(description=purpose)
    parser.add_argument("--model", type=Path, required=True, help="checkpoint folder of the finished model")
    parser.add_argument("--run", type=Path, required=True, help="gets the stage's checkpoint")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--rate", type=float, default=rate)
    parser.add_argument("--flat", type=float, default=0.5, help="share of the time before the learning rate falls")
    parser.add_argument("--evaluate-every", type=float, default=10, help="minutes")
    parser.add_argument("--seed", type=int, default=seed)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--restart-clock", action="store_true", help="continue with a new time budget")
    return parser


def finished_model(folder: Path, device: torch.device) -> Sam3VideoModel:
    """The model in a checkpoint folder, on a device; nothing in it learns.

    Its attention is written out: on a CPU, the fused kernel's backward pass took most of a step.
    """
    model = Sam3VideoModel.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    return model.requires_grad_(False).eval().to(device)


class PartialTraining:
    """The parameters of a module that learn, from its checkpoint on if there is one."""

    def __init__(
        self,
        path: Path,
        module: nn.Module,
        heads: nn.Module,
        muon: Callable[[str], bool],
        options: argparse.Namespace,
    ) -> None:
        """Args:
        path: The checkpoint.
        module: The model; what of it requires gradients learns.
        heads: Training-only parts that learn too.
        muon: Which parameters Muon trains, by name.
        options: Of `arguments`.
        """
        self._path, self._heads, self._options = path, heads, options
        self.free = {name: parameter for name, parameter in module.named_parameters() if parameter.requires_grad}
        self._average = {name: parameter.detach().clone() for name, parameter in self.free.items()}
        self._optimiser = Optimiser([*self.free.items(), *heads.named_parameters()], muon=muon)
        self.step, spent = 0, 0.0
        if path.exists():
            state = load(path)
            module.load_state_dict(state["trained"], strict=False)
            heads.load_state_dict(state["heads"])
            self._set(state["average"], self._average)
            self.step = int(state["step"])
            if not options.restart_clock:
                spent = float(state["spent"])
                self._optimiser.restore(state["optimiser"])
        self._first = self.step if options.restart_clock else 0
        self.clock, self._figures = Clock(options.minutes, spent), Averages()
        self._next_score = spent + options.evaluate_every * 60

    @property
    def seed(self) -> int:
        """A seed that a resumed run has not used yet."""
        return int(self._options.seed) + self.step

    def is_scored(self) -> bool:
        """Whether it is time to measure: every few minutes, and at the end."""
        if self.clock.share < 1 and self.clock.spent < self._next_score:
            return False
        self._next_score = self.clock.spent + self._options.evaluate_every * 60
        return True

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """The module has the running average of its weights for a while."""
        own = {name: parameter.detach().clone() for name, parameter in self.free.items()}
        self._set(self._average, self.free)
        yield
        self._set(own, self.free)

    @staticmethod
    @torch.no_grad()
    def _set(values: Mapping[str, Tensor], room: Mapping[str, Tensor]) -> None:
        for name, kept in room.items():
            kept.copy_(values[name])

    def learn(self, loss: Tensor, figures: dict[str, float]) -> None:
        """One step against ``loss``; prints the mean ``figures`` of every 50, saves every two minutes."""
        rate = self._options.rate * trapezoid(self.clock.share, self.step - self._first, flat=self._options.flat)
        norm = self._optimiser.step(loss, rate, clip=2.0)
        self._figures.add({"loss": float(loss.detach()), **figures, "norm": norm})
        self.step += 1
        keep = min(_EMA, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for name, parameter in self.free.items():
                self._average[name].lerp_(parameter, 1 - keep)
        if self.step % 50 == 0:
            print(f"step {self.step} t {self.clock.spent:.0f} rate {rate:.1e} {self._figures.line()}", flush=True)
        if self.clock.rings(120):
            self.checkpoint()

    def checkpoint(self) -> None:
        """Save everything that a resumed run needs."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        state = {
            "trained": {name: parameter.detach() for name, parameter in self.free.items()},
            "average": self._average,
            "heads": self._heads.state_dict(),
            "optimiser": self._optimiser.state(),
            "step": self.step,
            "spent": self.clock.spent,
        }
        save(self._path, state)
