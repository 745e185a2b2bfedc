"""What every network of the table is, and how a part of one is taken for another use."""

from typing import NamedTuple

from torch import Tensor, nn


class Continuation(NamedTuple):
    """What follows a network's maps, as modules that run without the rest of it.

    `stages` lead, each by the name of the map that it starts from, to the next of these
    maps. From the last one leads a stage that the network itself does not have: its last
    one once more, with stride 1 and as wide as its input. `head` leads from the last map
    to the logits.
    """

    stages: dict[str, nn.Module]
    head: nn.Module

    def after(self, name: str) -> nn.Sequential:
        """From that map [B, C, H, W] to the logits; from the last one by the added stage."""
        names = list(self.stages)
        following = names[names.index(name) : -1] or names[-1:]
        return nn.Sequential(*(self.stages[start] for start in following), self.head)


class Network(nn.Module):
    """Takes normalised images [B, 3, H, W] and returns `Outputs`."""

    def continuation(self) -> Continuation:
        """Shares the network's parameters; those of the added stage are drawn."""
        raise NotImplementedError


class MapOnly(nn.Module):
    """The map of a stage that returns something beside it."""

    def __init__(self, stage: nn.Module) -> None:
        super().__init__()
        self.stage = stage

    def forward(self, x: Tensor) -> Tensor:
        feature_map: Tensor = self.stage(x)[0]
        return feature_map


def pooled(classifier: nn.Module) -> nn.Sequential:
    """The classifier of a map's [B, C, H, W] mean over all locations."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), classifier)
