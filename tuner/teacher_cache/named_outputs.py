"""A network's outputs by name ("logits", "feature_maps.stage1"), as losses declare their needs.

A name that begins with "rotations." means outputs of the image in four rotations, [B, 4, ...].
The classifier's weight has a name too, but is the same for all images, so no cache stores it.
Named maps are [B, H, W, C], their order in memory in channels_last: the student's maps have
that layout, and a loss that compares two layouts has to copy one of them first.
"""

from collections.abc import Iterable

import torch
from torch import Tensor

from models import Outputs, Shapes
from models.outputs import NUM_ROTATIONS, Shape, attention_map

ROTATIONS = "rotations."
CLASSIFIER = "classifier"


def of_images(names: Iterable[str]) -> tuple[str, ...]:
    """The names of outputs that differ from image to image."""
    return tuple(name for name in names if name != CLASSIFIER)


def are_rotated(names: Iterable[str]) -> bool:
    """Whether the outputs are those of rotated images; a loss rotates for all of them or none."""
    return any(name.startswith(ROTATIONS) for name in names)


def select(outputs: Outputs, names: Iterable[str]) -> dict[str, Tensor]:
    """The named outputs, [B, ...] each; for rotated images `outputs` are [4B, ...].

    All are contiguous, because sums depend on the layout in their last bits.
    """
    selected = {}
    for name in names:
        tensor = _output(outputs, name.removeprefix(ROTATIONS))
        if tensor.dim() == 4:
            tensor = tensor.permute(0, 2, 3, 1)
        if name.startswith(ROTATIONS):
            tensor = tensor.unflatten(0, (-1, NUM_ROTATIONS))
        selected[name] = tensor.contiguous()
    return selected


def assemble(tensors: dict[str, Tensor]) -> Outputs:
    """`Outputs` of the named tensors [B, ...]; those that no loss declared are empty.

    Outputs of rotated images get their plain names, [4B, ...]; maps become [B, C, H, W].
    """
    nothing = torch.empty(0)
    plain = {}
    for name, tensor in tensors.items():
        if name.startswith(ROTATIONS):
            tensor = tensor.flatten(0, 1)
        if tensor.dim() == 4:
            tensor = tensor.permute(0, 3, 1, 2)
        plain[name.removeprefix(ROTATIONS)] = tensor
    outputs = Outputs(
        plain.get("logits", nothing), plain.get("embedding", nothing), {}, {}, attention_maps={}
    )
    for name, tensor in plain.items():
        field, _, layer = name.partition(".")
        if layer:
            getattr(outputs, field)[layer] = tensor
    return outputs


def shape_of(shapes: Shapes, name: str) -> Shape:
    """The shape of a named output without the batch dimension."""
    if name.startswith(ROTATIONS):
        return (NUM_ROTATIONS, *shape_of(shapes, name.removeprefix(ROTATIONS)))
    field, _, layer = name.partition(".")
    if field == "attention_maps":
        return shapes.feature_maps[layer][1:]
    shape: Shape = getattr(shapes, field)[layer] if layer else getattr(shapes, field)
    return shape


def _output(outputs: Outputs, name: str) -> Tensor:
    field, _, layer = name.partition(".")
    if field == "attention_maps":
        return attention_map(outputs.feature_maps[layer])
    tensor: Tensor = getattr(outputs, field)[layer] if layer else getattr(outputs, field)
    return tensor
