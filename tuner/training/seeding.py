"""Networks built from a seed; frozen teachers."""

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import nn

Module = TypeVar("Module", bound=nn.Module)


def seeded(seed: int, build: Callable[[], Module]) -> Module:
    """What `build` returns when its random numbers come from `seed`; global state is left alone."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return build()


def frozen(network: nn.Module) -> nn.Module:
    """The network in evaluation mode, without gradients: a teacher."""
    return network.eval().requires_grad_(False)
