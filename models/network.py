"""The base class of the built-in networks, and how their later stages are reused."""

from typing import NamedTuple

from torch import Tensor, nn


class Continuation(NamedTuple):
    """What follows a network's feature maps, as modules that run on their own.

    `stages[name]` leads from the map `name` to the next map. The one that starts at the last
    map is not part of the network: it repeats the last stage with stride 1, as wide as its
    input. `head` leads from the last map to the logits.
    """

    stages: dict[str, nn.Module]
    head: nn.Module

    def after(self, name: str) -> nn.Sequential:
        """From the map `name` [B, C, H, W] to the logits [B, classes]."""
        names = list(self.stages)
        following = names[names.index(name) : -1] or names[-1:]
        return nn.Sequential(*(self.stages[start] for start in following), self.head)


class Network(nn.Module):
    """Takes normalised images [B, 3, H, W] and returns `Outputs`."""

    def continuation(self) -> Continuation:
        """The later stages, which share this network's parameters; the added stage has new ones.

        Raises UnknownModel if the network cannot be continued.
        """
        raise NotImplementedError


class MapOnly(nn.Module):
    """A stage that returns several tensors, reduced to its first, the feature map."""

    def __init__(self, stage: nn.Module) -> None:
        super().__init__()
        self.stage = stage

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] to the stage's feature map [B, C', H', W']."""
        feature_map: Tensor = self.stage(x)[0]
        return feature_map


def pooled(classifier: nn.Module) -> nn.Sequential:
    """The classifier [B, C] -> [B, classes] on a map's [B, C, H, W] mean over all locations."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), classifier)
