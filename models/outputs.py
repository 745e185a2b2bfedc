"""What every network returns, and the shapes of it that a distillation loss is built from."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import torch
from torch import Tensor, nn

Shape = tuple[int, ...]


class Outputs(NamedTuple):
    """What every network returns, teacher and student alike."""

    logits: Tensor  # [B, classes], before softmax
    embedding: Tensor  # [B, D], pooled, input of the classifier
    feature_maps: dict[str, Tensor]  # [B, C_k, H_k, W_k]: "stem", "stage1", ... shallow to deep
    pre_activation_maps: dict[str, Tensor]  # the same maps before their last ReLU
    # [B, H_k, W_k], see `attention_map`. Networks leave it empty; a teacher's are filled in
    # where a method needs nothing else of its maps, because they are so much smaller.
    attention_maps: Mapping[str, Tensor] = MappingProxyType({})


class Shapes(NamedTuple):
    """The shapes of `Outputs` without the batch dimension."""

    logits: Shape  # (classes,)
    embedding: Shape  # (D,)
    feature_maps: dict[str, Shape]  # (C_k, H_k, W_k)


def attention_map(feature_map: Tensor) -> Tensor:
    """Mean over the channels of the squared activations, [B, C, H, W] to [B, H, W].

    Source: "Paying More Attention to Attention", arXiv:1612.03928, section 3.1 (F_sum
    with p = 2, divided by C, which the normalisation of its loss cancels).
    """
    return feature_map.square().mean(dim=1)


def in_float32(outputs: Outputs) -> Outputs:
    """The outputs of a network that ran in lower precision; float32 ones as they are."""
    return Outputs(
        outputs.logits.float(),
        outputs.embedding.float(),
        {name: tensor.float() for name, tensor in outputs.feature_maps.items()},
        {name: tensor.float() for name, tensor in outputs.pre_activation_maps.items()},
    )


def shapes_of(model: nn.Module, image_size: tuple[int, int]) -> Shapes:
    """Runs `model` once on a black image of (height, width) and returns its shapes."""
    parameter = next(model.parameters())
    was_training = model.training
    model.eval()
    with torch.no_grad():
        outputs: Outputs = model(
            torch.zeros(1, 3, *image_size, device=parameter.device, dtype=parameter.dtype)
        )
    model.train(was_training)
    return Shapes(
        logits=tuple(outputs.logits.shape[1:]),
        embedding=tuple(outputs.embedding.shape[1:]),
        feature_maps={name: tuple(x.shape[1:]) for name, x in outputs.feature_maps.items()},
    )
