"""Training in which weights are blended with what they will be quantized to (imported lazily: torch)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from smidgen.formats import Affine, Format
from smidgen.formats.affine import requantized
from smidgen.formats.scales import floored
from smidgen.formats.twins import Twin
from smidgen.learn.hooks import FitState, Hook

FloatArray32 = npt.NDArray[np.float32]
Fitted = Callable[[FloatArray32], Format]


class BlendTwin(Twin):
    """(1 - alpha) * latent + alpha * quantized, whose gradient passes to the latent alone.

    `weight()` is what `freeze()` gives once alpha is 1; from then on that stays, wherever the optimizer's
    momentum takes the latents.
    """

    target: Tensor

    def __init__(self, latent: FloatArray32, fitted: Fitted, alpha_at: Callable[[float], float]) -> None:
        super().__init__()
        self.latent = nn.Parameter(torch.from_numpy(latent.copy()))
        self.fitted, self.alpha_at, self.alpha = fitted, alpha_at, 0.0
        self.quantized = fitted(latent)
        self.register_buffer("target", torch.zeros_like(self.latent))

    def weight(self) -> Tensor:
        return (1 - self.alpha) * self.latent + self.alpha * self.target

    def progress(self, t: float) -> None:
        if self.alpha == 1:
            return
        began, self.alpha = self.alpha > 0, self.alpha_at(t)
        if self.alpha:
            latent = self.latent.detach().cpu().numpy().copy()
            old = self.quantized
            self.quantized = (
                refitted(old, latent) if began and isinstance(old, Affine) else self.fitted(latent)
            )
            self.target.copy_(torch.from_numpy(self.quantized.decode()))

    def freeze(self) -> Format:
        return self.quantized


def refitted(fmt: Affine, weight: FloatArray32) -> Affine:
    """`weight` on the grid that suits it best among those that give it the symbols it has on `fmt`'s.

    scale = <w, q> / <q, q>, q the integers: one round of Lloyd's alternation. Searching for ranges anew in
    every update would take longer than the update.
    """
    latent = weight.astype(np.float64).reshape(fmt.scale.size, -1)
    q = requantized(fmt, weight).symbols.reshape(latent.shape).astype(np.float64)
    squares = np.square(q).sum(axis=1)
    # Where all symbols are 0 the mean size brings the row back into reach of its grid.
    scale = np.where(
        squares > 0, (latent * q).sum(axis=1) / np.maximum(squares, 1), np.abs(latent).mean(axis=1)
    )
    return requantized(replace(fmt, scale=floored(scale)), weight)


class BlendedWeights(Hook):
    """Blends all weights of which `blends` is true."""

    def __init__(
        self, fitted: Fitted, blends: Callable[[Format], bool], alpha_at: Callable[[float], float]
    ) -> None:
        self.fitted, self.blends, self.alpha_at = fitted, blends, alpha_at

    def on_fit_start(self, state: FitState) -> None:
        twin = state.twin
        for name in twin.weights:
            if self.blends(fmt := twin.graph.weights[name]):
                twin.put(name, BlendTwin(fmt.latent, self.fitted, self.alpha_at))
