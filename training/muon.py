"""Muon in fp32: momentum whose matrix updates are orthogonalised, all matrices of one shape at a time.

`torch.optim.Muon` iterates in bf16, one matrix after the other; on a CPU that multiplies bf16 in emulation, this took
twice as long as the network itself.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 5


def orthogonalise(matrices: Tensor) -> Tensor:
    """Roughly the nearest orthogonal matrices, singular values 0.7 to 1.2; ``(n, rows, columns)``, rows <= columns."""
    a, b, c = _COEFFICIENTS
    x = matrices / (matrices.flatten(1).norm(dim=1)[:, None, None] + 1e-7)
    for _ in range(_ITERATIONS):
        gram = x @ x.mT
        x = a * x + torch.baddbmm(gram, gram, gram, beta=b, alpha=c) @ x
    return x


class Muon(torch.optim.Optimizer):
    """Muon (Jordan et al., 2024) with Nesterov momentum; updates have the root mean square 0.2 that AdamW's have."""

    def __init__(self, params: Any, lr: float = 1e-3, momentum: float = 0.95, weight_decay: float = 0.02) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]  # noqa: ARG002
        """Update all parameters from their gradients."""
        for group in self.param_groups:
            by_shape: dict[tuple[int, ...], list[Tensor]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    by_shape[tuple(sorted(parameter.shape))].append(parameter)
            for (rows, columns), parameters in by_shape.items():
                updates = []
                for parameter in parameters:
                    assert parameter.grad is not None
                    velocity = self.state[parameter].setdefault("velocity", torch.zeros_like(parameter))
                    velocity.lerp_(parameter.grad, 1 - group["momentum"])
                    update = parameter.grad.lerp(velocity, group["momentum"])
                    updates.append(update if update.shape[0] == rows else update.mT)
                scale = 0.2 * columns**0.5
                for parameter, update in zip(parameters, orthogonalise(torch.stack(updates)), strict=True):
                    parameter.mul_(1 - group["lr"] * group["weight_decay"])
                    oriented = update if parameter.shape == update.shape else update.mT
                    parameter.add_(oriented, alpha=-group["lr"] * scale)
