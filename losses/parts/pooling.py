"""Pools the larger of two maps to the size of the smaller one.

Source: the CRD framework (arXiv:1910.10699), which uses adaptive average pooling wherever a method
compares maps location by location.
"""

import torch.nn.functional as F
from torch import Tensor

from models.outputs import Shape

Size = tuple[int, int]  # height and width


def matched_size(student: Shape, teacher: Shape) -> Size:
    """The smaller height and the smaller width of two maps [..., H, W]."""
    return min(student[-2], teacher[-2]), min(student[-1], teacher[-1])


def pool_to_match(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """Both maps [B, C, H, W], pooled to their matched size if necessary."""
    size = matched_size(student.shape, teacher.shape)
    return pool_to(student, size), pool_to(teacher, size)


def pool_to(feature_map: Tensor, size: Shape) -> Tensor:
    """A map [B, C, H, W] average-pooled to (height, width); unchanged if it has that size."""
    (height, width), (pooled_height, pooled_width) = feature_map.shape[2:], size
    if (height, width) == (pooled_height, pooled_width):
        return feature_map
    if height % pooled_height == 0 and width % pooled_width == 0:
        # Equal regions: the same averages, but a deterministic gradient on a GPU.
        return F.avg_pool2d(feature_map, (height // pooled_height, width // pooled_width))
    return F.adaptive_avg_pool2d(feature_map, (pooled_height, pooled_width))
