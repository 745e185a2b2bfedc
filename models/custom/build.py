"""Builds custom networks: from the user's own Python files, torchvision and timm."""

import importlib
from typing import Any

import torch
from torch import nn

from models.custom.hooked_network import CustomNetwork
from models.custom.name import TIMM, TORCHVISION, CustomName, file_of, parse
from models.custom.source_file import load_module, run_user_code
from models.errors import UnknownModel
from search_spaces.wording import suggestion


def build_custom(name: str, num_classes: int) -> CustomNetwork:
    """Builds a custom network by its canonical name, on the CPU.

    Raises UnknownModel if that fails or the result is not a usable network.
    """
    custom = parse(name)
    # Never on the meta device: the user's code may read the weights it has just created.
    with torch.device("cpu"):
        network = _network(custom, num_classes)
    if not isinstance(network, nn.Module):
        raise UnknownModel(
            f"{custom.spec} returned a {type(network).__name__}; it must return an nn.Module"
        )
    if any(isinstance(value, nn.UninitializedParameter) for value in network.parameters()):
        raise UnknownModel(f"{custom.spec} has lazy layers; give them explicit sizes")
    if next(network.parameters(), None) is None:
        raise UnknownModel(f"{custom.spec} has no parameters; it must return a trainable network")
    return CustomNetwork(name, network, num_classes, custom.layers)


def _network(custom: CustomName, num_classes: int) -> Any:
    """What the library or the user's function returns."""
    if custom.source == TORCHVISION:
        from torchvision.models import get_model

        return get_model(custom.builder, weights=None, num_classes=num_classes)
    if custom.source == TIMM:
        timm: Any = importlib.import_module(TIMM)
        return timm.create_model(custom.builder, pretrained=False, num_classes=num_classes)
    path = file_of(custom)
    if path is None:
        raise UnknownModel(
            f"{custom.spec}: no module {custom.source!r} in this folder or installed; "
            "check the name, or give the path of its file"
        )
    if custom.is_file:
        module = load_module(path)
    else:
        module = run_user_code(path, lambda: importlib.import_module(custom.source))
    function = getattr(module, custom.builder, None)
    if not callable(function):
        problem = "is not a function" if hasattr(module, custom.builder) else "is not defined"
        known = [key for key, value in vars(module).items() if callable(value)]
        raise UnknownModel(
            f"{path}: {custom.builder!r} {problem}{suggestion(custom.builder, known)} "
            "give a function that takes num_classes and returns the network"
        )
    return run_user_code(path, lambda: function(num_classes), module.__name__.partition(".")[0])
