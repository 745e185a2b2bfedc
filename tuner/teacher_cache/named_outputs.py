"""A network's outputs by name ("logits", "feature_maps.stage1"), as losses declare their needs."""

from collections.abc import Iterable

import torch
from torch import Tensor

from models import Outputs, Shapes
from models.outputs import Shape, attention_map


def select(outputs: Outputs, names: Iterable[str]) -> dict[str, Tensor]:
    """The named outputs, [B, ...] each."""
    return {name: _output(outputs, name) for name in names}


def assemble(tensors: dict[str, Tensor]) -> Outputs:
    """`Outputs` that hold what is given and nothing else: what no loss declared is empty."""
    nothing = torch.empty(0)
    outputs = Outputs(
        tensors.get("logits", nothing), tensors.get("embedding", nothing), {}, {}, attention_maps={}
    )
    for name, tensor in tensors.items():
        field, _, layer = name.partition(".")
        if layer:
            getattr(outputs, field)[layer] = tensor
    return outputs


def shape_of(shapes: Shapes, name: str) -> Shape:
    """The shape of a named output without the batch dimension."""
    field, _, layer = name.partition(".")
    if not layer:
        shape: Shape = getattr(shapes, field)
        return shape
    channels, height, width = shapes.feature_maps[layer]
    return (height, width) if field == "attention_maps" else (channels, height, width)


def _output(outputs: Outputs, name: str) -> Tensor:
    field, _, layer = name.partition(".")
    if field == "attention_maps":
        return attention_map(outputs.feature_maps[layer])
    tensor: Tensor = getattr(outputs, field)[layer] if layer else getattr(outputs, field)
    return tensor
