"""What every network returns, and the shapes of it that a distillation loss is built from."""

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
    """What every network returns, teacher and student alike."""

    logits: Tensor  # [B, classes], before softmax
    embedding: Tensor  # [B, D], pooled, input of the classifier
    feature_maps: dict[str, Tensor]  # [B, C_k, H_k, W_k]: "stem", "stage1", ... shallow to deep
    pre_activation_maps: dict[str, Tensor]  # the same maps before their last ReLU
    # [B, H_k, W_k], see `attention_map`. Networks leave it empty; a teacher's are filled in
    # where a method needs nothing else of its maps, because they are so much smaller.
    attention_maps: Mapping[str, Tensor] = MappingProxyType({})
    # [classes, D], the weight of the linear classifier; None where a network has none.
    classifier: Tensor | None = None


class Shapes(NamedTuple):
    """The shapes of `Outputs` without the batch dimension."""

    logits: Shape  # (classes,)
    embedding: Shape  # (D,)
    feature_maps: dict[str, Shape]  # (C_k, H_k, W_k)
    pre_activation_maps: dict[str, Shape] = {}  # noqa: RUF012, never changed; the same maps, or none
    name: str = ""  # the network's, for heads that repeat a part of it
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
    """The outputs of a network that ran in lower precision; float32 ones as they are."""
    return Outputs(
        outputs.logits.float(),
        outputs.embedding.float(),
        {name: tensor.float() for name, tensor in outputs.feature_maps.items()},
        {name: tensor.float() for name, tensor in outputs.pre_activation_maps.items()},
        classifier=outputs.classifier,
    )


def rotations(images: Tensor) -> Tensor:
    """Each square image counter-clockwise by 0, 90, 180, 270 degrees: [B, 3, H, H] to [4B, ...].

    Rows 4b to 4b+3 are image b's.
    """
    turned = [images.rot90(quarter, dims=(2, 3)) for quarter in range(NUM_ROTATIONS)]
    return torch.stack(turned, dim=1).flatten(0, 1)


def shapes_of(model: nn.Module, image_size: tuple[int, int], name: str = "") -> Shapes:
    """Runs `model` once on a black image of (height, width) and returns its shapes."""
    outputs: Outputs = run_on_black(model, image_size, name)
    return Shapes(
        logits=tuple(outputs.logits.shape[1:]),
        embedding=tuple(outputs.embedding.shape[1:]),
        feature_maps=_shapes(outputs.feature_maps),
        pre_activation_maps=_shapes(outputs.pre_activation_maps),
        name=name,
        image=(3, *image_size),
        has_classifier=outputs.classifier is not None,
    )


def run_on_black(model: nn.Module, image_size: tuple[int, int], name: str = "") -> Any:
    """What `model` returns for one black image of (height, width), in evaluation mode.

    Raises UnknownModel where it cannot be run on one.
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
    # Anything can go wrong in a person's own network, most often because of the size.
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
