"""Builds networks that are not in the table: a person's own, torchvision's and timm's."""

import importlib
from typing import Any

import torch
from torch import nn

from models.custom.hooked_network import CustomNetwork
from models.custom.name import TIMM, TORCHVISION, CustomName, parse, source_file
from models.custom.source_file import load_file, run_theirs
from models.errors import UnknownModel
from search_spaces.wording import suggestion


def build_own(name: str, num_classes: int) -> CustomNetwork:
    """Builds a network by its canonical name, on the CPU. Raises UnknownModel."""
    own = parse(name)
    # Not on the meta device, whoever asks: such code may read what it has just made.
    with torch.device("cpu"):
        network = _network(own, num_classes)
    if not isinstance(network, nn.Module):
        raise UnknownModel(
            f"{own.spec} returned a {type(network).__name__}; let it return an nn.Module"
        )
    if any(isinstance(value, nn.UninitializedParameter) for value in network.parameters()):
        raise UnknownModel(f"{own.spec} has lazy layers; give them their sizes")
    if next(network.parameters(), None) is None:
        raise UnknownModel(f"{own.spec} has no parameters; let it return a network that learns")
    return CustomNetwork(name, network, num_classes, own.layers)


def _network(own: CustomName, num_classes: int) -> Any:
    """What the library or the person's function returns."""
    if own.source == TORCHVISION:
        from torchvision.models import get_model

        return get_model(own.builder, weights=None, num_classes=num_classes)
    if own.source == TIMM:
        timm: Any = importlib.import_module(TIMM)
        return timm.create_model(own.builder, pretrained=False, num_classes=num_classes)
    path = source_file(own)
    if path is None:
        raise UnknownModel(
            f"{own.spec}: there is no module {own.source!r} in this folder or installed; "
            "check the name, or give the path of its file"
        )
    if own.is_file:
        module = load_file(path)
    else:
        module = run_theirs(path, lambda: importlib.import_module(own.source))
    function = getattr(module, own.builder, None)
    if not callable(function):
        problem = "is no function" if hasattr(module, own.builder) else "is not in it"
        known = [key for key, value in vars(module).items() if callable(value)]
        raise UnknownModel(
            f"{path}: {own.builder!r} {problem}{suggestion(own.builder, known)} "
            "name a function that takes num_classes and returns the network"
        )
    return run_theirs(path, lambda: function(num_classes), module.__name__.partition(".")[0])
