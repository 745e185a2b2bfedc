"""Builds networks from a seed, and freezes trained ones."""

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import nn

Module = TypeVar("Module", bound=nn.Module)


def seeded(seed: int, build: Callable[[], Module]) -> Module:
    """Calls `build` with torch's random numbers seeded; restores the global generator."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return build()


def frozen(network: nn.Module) -> nn.Module:
    """Puts the network in evaluation mode and turns its gradients off, as a teacher needs."""
    return network.eval().requires_grad_(False)
