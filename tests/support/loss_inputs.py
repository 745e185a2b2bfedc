"""Shapes, random outputs and batches for the tests of losses."""

from collections.abc import Sequence

import torch
from torch import Tensor

import models
from losses.batch import Batch
from models.outputs import Outputs, Shapes, attention_map, shapes_of


def shapes(
    embedding: int, *, classes: int = 10, name: str = "", **feature_maps: tuple[int, ...]
) -> Shapes:
    """Of a network whose maps before and after the ReLU have the shapes (C, H, W) given."""
    maps = dict(feature_maps)
    return Shapes((classes,), (embedding,), maps, dict(maps), name)


# Two networks that differ in every width; their maps have the same sizes.
STUDENT = shapes(6, stem=(3, 8, 8), stage1=(4, 8, 8), stage2=(6, 4, 4))
TEACHER = shapes(9, stem=(5, 8, 8), stage1=(7, 8, 8), stage2=(9, 4, 4))


def network_shapes(name: str) -> Shapes:
    """Of a network in models/, for images of 8 x 8 in 10 classes."""
    return shapes_of(models.build_untrained(name, 10), (8, 8), name)


def outputs_of(
    logits: Tensor | None = None, embedding: Tensor | None = None, maps: Sequence[Tensor] = ()
) -> Outputs:
    """Outputs that hold these and zeros for what is missing.

    Maps are named stage1, stage2, ...; a deepest one of 1x1 is the embedding.
    """
    named = {f"stage{number}": x for number, x in enumerate(maps, start=1)}
    if maps and maps[-1].shape[2:] == (1, 1):
        embedding = named.popitem()[1].flatten(1)
    (first, *_) = (x for x in (logits, embedding, *maps) if x is not None)
    logits = first.new_zeros(len(first), 10) if logits is None else logits
    embedding = first.new_zeros(len(first), 1) if embedding is None else embedding
    attention = {name: attention_map(x) for name, x in named.items()}
    return Outputs(logits, embedding, named, dict(named), attention)


def random_outputs(shapes: Shapes, num_images: int, seed: int, *, train: bool) -> Outputs:
    """Standard normal outputs of the given shapes; with `train` they are leaves with gradients."""
    generator = torch.Generator().manual_seed(seed)

    def draw(shape: tuple[int, ...]) -> Tensor:
        return torch.randn(num_images, *shape, generator=generator).requires_grad_(train)

    return Outputs(
        draw(shapes.logits),
        draw(shapes.embedding),
        {name: draw(shape) for name, shape in shapes.feature_maps.items()},
        {name: draw(shape) for name, shape in shapes.pre_activation_maps.items()},
        classifier=torch.randn(
            *shapes.logits, *shapes.embedding, generator=generator
        ).requires_grad_(train),
    )


def make_batch(num_images: int, seed: int = 0) -> Batch:
    """Black images whose labels and rows count up from 0."""
    indices = torch.arange(num_images)
    return Batch(torch.zeros(num_images, 3, 8, 8), indices % 10, indices, seed)
