"""What every network returns, and the shapes of it that a distillation loss is built from."""

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


class Shapes(NamedTuple):
    """The shapes of `Outputs` without the batch dimension."""

    logits: Shape  # (classes,)
    embedding: Shape  # (D,)
    feature_maps: dict[str, Shape]  # (C_k, H_k, W_k)


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
