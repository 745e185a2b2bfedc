"""What every network returns, and its shapes, from which distillation losses are built."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from models.errors import UnknownModel
from search_spaces.wording import error_text

Shape = tuple[int, ...]
NUM_ROTATIONS = 4


class Outputs(NamedTuple):
    """What every network returns, teachers and students alike."""

    logits: Tensor  # [B, classes], before softmax
    embedding: Tensor  # [B, D], pooled, input of the classifier
    feature_maps: dict[str, Tensor]  # [B, C_k, H_k, W_k]: "stem", "stage1", ... shallow to deep
    pre_activation_maps: dict[str, Tensor]  # the same maps before their last ReLU
    # [B, H_k, W_k], see `attention_map`. Networks leave it empty; a teacher's is filled in
    # for methods that need nothing else of its maps, because attention maps are much smaller.
    attention_maps: Mapping[str, Tensor] = MappingProxyType({})
    # [classes, D], the weight of the linear classifier; None if the network has none.
    classifier: Tensor | None = None


class Shapes(NamedTuple):
    """The shapes of `Outputs` without the batch dimension."""

    logits: Shape  # (classes,)
    embedding: Shape  # (D,)
    feature_maps: dict[str, Shape]  # (C_k, H_k, W_k)
    pre_activation_maps: dict[str, Shape] = {}  # noqa: RUF012, never changed; the same maps, or none
    name: str = ""  # of the network, for heads that repeat a part of it
    image: Shape = (3, 32, 32)
    has_classifier: bool = True  # whether there is `Outputs.classifier`


def attention_map(feature_map: Tensor) -> Tensor:
    """Mean over the channels of the squared activations, [B, C, H, W] to [B, H, W].

    Source: "Paying More Attention to Attention", arXiv:1612.03928, section 3.1 (F_sum
    with p = 2, divided by C, which the normalisation of its loss cancels).
    """
    # Not square().mean(dim=1), whose gradient takes three times as long in channels_last.
    return torch.linalg.vector_norm(feature_map, dim=1).square() / feature_map.shape[1]


def in_float32(outputs: Outputs) -> Outputs:
    """The same outputs, [B, ...] each, converted to float32."""
    return Outputs(
        outputs.logits.float(),
        outputs.embedding.float(),
        {name: tensor.float() for name, tensor in outputs.feature_maps.items()},
        {name: tensor.float() for name, tensor in outputs.pre_activation_maps.items()},
        classifier=outputs.classifier,
    )


def rotations(images: Tensor) -> Tensor:
    """Rotates square images by 0, 90, 180, 270 degrees: [B, 3, H, H] to [4B, 3, H, H].

    Rotation is counter-clockwise; rows 4b to 4b+3 belong to image b.
    """
    turned = [images.rot90(quarter, dims=(2, 3)) for quarter in range(NUM_ROTATIONS)]
    return torch.stack(turned, dim=1).flatten(0, 1)


def shapes_of(model: nn.Module, image_size: tuple[int, int], name: str = "") -> Shapes:
    """The shapes of `model`'s outputs for an image of (height, width); runs it once.

    Raises UnknownModel if it fails on such an image.
    """
    return shapes_from(run_on_black(model, image_size, name), name, (3, *image_size))


def shapes_from(outputs: Outputs, name: str = "", image: Shape = (3, 32, 32)) -> Shapes:
    """The shapes of these outputs of the network `name` for an image of this shape."""
    return Shapes(
        logits=tuple(outputs.logits.shape[1:]),
        embedding=tuple(outputs.embedding.shape[1:]),
        feature_maps=_shapes(outputs.feature_maps),
        pre_activation_maps=_shapes(outputs.pre_activation_maps),
        name=name,
        image=image,
        has_classifier=outputs.classifier is not None,
    )


def run_on_black(model: nn.Module, image_size: tuple[int, int], name: str = "") -> Any:
    """What `model` returns for a black image [1, 3, height, width], in evaluation mode.

    Raises UnknownModel if it fails.
    """
    parameter = next(model.parameters())
    was_training = model.training
    model.eval()
    black = torch.zeros(1, 3, *image_size, device=parameter.device, dtype=parameter.dtype)
    try:
        with torch.no_grad():
            return model(black)
    except (UnknownModel, torch.OutOfMemoryError):
        raise
    # A custom network can fail in any way, most often because of the size.
    except Exception as error:
        height, width = image_size
        raise UnknownModel(
            f"{name or type(model).__name__} fails on an image of {height}x{width} pixels "
            f"({error_text(error)}); choose another network, or resize the images"
        ) from error
    finally:
        model.train(was_training)


def _shapes(maps: dict[str, Tensor]) -> dict[str, Shape]:
    return {name: tuple(x.shape[1:]) for name, x in maps.items()}
