"""A network's outputs by name ("logits", "feature_maps.stage1"), as losses declare their needs.

A name that begins with "rotations." is of the image in four rotations: [B, 4, ...]. The
classifier's weight has a name too, but is the same for every image, so no cache holds it.
By name, maps are [B, H, W, C], as they lie in memory in channels_last: the student's are in
that layout, and a loss that compares two layouts waits for one of them to be copied.
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
    """Whether the outputs are of rotated images; a loss needs all of them so, or none."""
    return any(name.startswith(ROTATIONS) for name in names)


def select(outputs: Outputs, names: Iterable[str]) -> dict[str, Tensor]:
    """The named outputs, [B, ...] each; of rotated images, outputs are of [4B, ...].

    In one layout wherever they come from, because sums depend on it in their last bits.
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
    """`Outputs` that hold what is given and nothing else: what no loss declared is empty.

    Those of rotated images come under their plain names, [4B, ...]; maps as [B, C, H, W].
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
