"""Maps of different sizes made comparable: the larger one is pooled to the smaller one's size.

Source: the CRD framework (arXiv:1910.10699), which pools by adaptive average wherever a
method compares maps location by location.
"""

import torch.nn.functional as F
from torch import Tensor

from models.outputs import Shape

Size = tuple[int, int]  # height and width


def matched_size(student: Shape, teacher: Shape) -> Size:
    """The smaller height and the smaller width of two maps [..., H, W]."""
    return min(student[-2], teacher[-2]), min(student[-1], teacher[-1])


def pool_to_match(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """Both maps [B, C, H, W] in their matched size; one that has it is returned as it is."""
    size = matched_size(student.shape, teacher.shape)
    return pool_to(student, size), pool_to(teacher, size)


def pool_to(feature_map: Tensor, size: Shape) -> Tensor:
    """A map [B, C, H, W] averaged down to (height, width); as it is if it has that size."""
    (height, width), (pooled_height, pooled_width) = feature_map.shape[2:], size
    if (height, width) == (pooled_height, pooled_width):
        return feature_map
    if height % pooled_height == 0 and width % pooled_width == 0:
        # Equal regions: the same averages, and a gradient that is deterministic on a GPU.
        return F.avg_pool2d(feature_map, (height // pooled_height, width // pooled_width))
    return F.adaptive_avg_pool2d(feature_map, (pooled_height, pooled_width))
