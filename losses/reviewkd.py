"""Knowledge review (ReviewKD): predicts the teacher's maps with help from deeper student stages.

Source: "Distilling Knowledge via Knowledge Review", arXiv:2104.09044; the authors' code,
github.com/dvlab-research/ReviewKD, and its copy in mdistiller. As there, the student's maps are
taken after the activation and the teacher's before it.
Departures: the code has a table of maps per pair of networks, without entries for networks with
different numbers of stages; here stages are paired from the deepest up, and the shallowest ones
of the longer network are left out. The authors' script runs the teacher with batch statistics;
here it is in eval mode. The ramp counts epochs from 1, as in mdistiller; the authors count from 0.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from losses.batch import Batch, ramp
from losses.loss import DistillationLoss, LossError, require_not_negative, require_positive
from losses.parts.pooling import Size, pool_to
from losses.parts.pre_activation import pre_activation_stages
from losses.parts.stages import described, stages
from models.outputs import Outputs, Shapes

MAX_WIDTH = 512
PYRAMID = (4, 2, 1)


class ReviewKD(DistillationLoss):
    """Hierarchical context loss between fused maps of the student and the teacher's maps.

    Levels, deepest first: the embeddings as 1x1 maps, then the stages. Heads: one `Fusion` per
    level. Terms: "reviewkd". Raises LossError if a network has fewer than 2 stages.
    """

    def __init__(
        self, student: Shapes, teacher: Shapes, *, weight: float, warmup_epochs: int
    ) -> None:
        super().__init__()
        require_positive("reviewkd: weight", weight)
        require_not_negative("reviewkd: warmup_epochs", warmup_epochs)
        student_stages = stages(student.feature_maps)
        teacher_stages = pre_activation_stages("reviewkd", "teacher", teacher)
        if min(len(student_stages), len(teacher_stages)) < 2:
            raise LossError(
                "reviewkd: both networks must have at least 2 stages (student:"
                f" {described(student.feature_maps)}; teacher: {described(teacher.feature_maps)});"
                " choose deeper ones"
            )
        self.weight = weight
        self.warmup_epochs = warmup_epochs
        self.pairs = tuple(zip(student_stages[::-1], teacher_stages[::-1], strict=False))
        self.needs = ("embedding", *(f"pre_activation_maps.{t}" for _, t in self.pairs))

        width = min(MAX_WIDTH, student.embedding[0])
        self.fusions = nn.ModuleList(
            [Fusion(student.embedding[0], width, teacher.embedding[0], is_deepest=True)]
        )
        for s, t in self.pairs:
            channels = student.feature_maps[s][0], teacher.pre_activation_maps[t][0]
            self.fusions.append(Fusion(channels[0], width, channels[1], is_deepest=False))

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch) -> dict[str, Tensor]:
        """Returns {"reviewkd": scalar >= 0}, weighted.

        Raises ValueError for a batch of one in training mode, where a 1x1 map has no variance.
        """
        if self.training and len(student.embedding) < 2:
            raise ValueError("reviewkd: a batch of 1 has no batch statistics; use batch_size >= 2")
        students = [_as_map(student.embedding)]
        teachers = [_as_map(teacher.embedding)]
        for s, t in self.pairs:
            students.append(student.feature_maps[s])
            teachers.append(teacher.pre_activation_maps[t])
        losses = []
        fused = None
        for fusion, student_map, teacher_map in zip(self.fusions, students, teachers, strict=True):
            prediction, fused = fusion(student_map, fused, _size(teacher_map))
            losses.append(hierarchical_context_loss(prediction, teacher_map))
        weight = self.weight * ramp(batch.epoch, self.warmup_epochs)
        return {"reviewkd": weight * torch.stack(losses).sum()}


class Fusion(nn.Module):
    """Attention based fusion (ABF) of a student's map with the fused map of the deeper levels.

    Two attention maps weight the two at each location. At the deepest level nothing is fused.
    """

    def __init__(
        self, student_channels: int, width: int, teacher_channels: int, *, is_deepest: bool
    ) -> None:
        super().__init__()
        self.width = width
        self.entry = _convolution(student_channels, width, kernel_size=1)
        self.exit = _convolution(width, teacher_channels, kernel_size=3)
        self.attention = None if is_deepest else nn.Conv2d(2 * width, 2, 1)

    def forward(
        self, student_map: Tensor, deeper: Tensor | None, teacher_size: Size
    ) -> tuple[Tensor, Tensor]:
        """The predicted teacher's map [B, C_t, *teacher_size], and the fused map [B, width, ...].

        `student_map` is [B, C_s, H, W], `deeper` the fused map of the next deeper level.
        """
        fused: Tensor = self.entry(student_map)
        if self.attention is not None:
            assert deeper is not None
            size = _size(fused)
            # The convolution of the deeper map commutes with its resizing.
            weight, deeper_weight = self.attention.weight.split(self.width, dim=1)
            scores = F.conv2d(fused, weight, self.attention.bias)
            scores = scores + _resized(F.conv2d(deeper, deeper_weight), size)
            own, others = scores.sigmoid().split(1, dim=1)
            fused = fused * own + _resized(deeper, size) * others
        fused = _resized(fused, teacher_size)
        return self.exit(fused), fused


def hierarchical_context_loss(student_map: Tensor, teacher_map: Tensor) -> Tensor:
    """Mean squared error (HCL) of two maps [B, C, H, W] and of their averages; a scalar >= 0.

    The weighted mean over the maps themselves (weight 1) and their averages over 4x4, 2x2 and
    1x1 regions (1/2, 1/4 and 1/8), of those smaller than the map.
    """
    error = student_map - teacher_map
    size = _size(error)
    # Averages over equal regions can be averaged again, so the large map is read only once.
    equal_regions = all(length % PYRAMID[0] == 0 for length in size)
    total, weight, weights = error.square().mean(), 1.0, 1.0
    pooled = error
    for length in PYRAMID:
        if length < min(size):
            pooled = pool_to(pooled if equal_regions else error, (length, length))
            weight /= 2
            weights += weight
            total = total + weight * pooled.square().mean()
    return total / weights


def _convolution(in_channels: int, out_channels: int, kernel_size: int) -> nn.Sequential:
    """Convolution that keeps the size, and batch norm."""
    conv = nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=False)
    nn.init.kaiming_uniform_(conv.weight, a=1)
    return nn.Sequential(conv, nn.BatchNorm2d(out_channels))


def _resized(feature_map: Tensor, size: Size) -> Tensor:
    """To another height and width by nearest neighbours."""
    if _size(feature_map) == size:
        return feature_map
    return F.interpolate(feature_map, size, mode="nearest")


def _as_map(embedding: Tensor) -> Tensor:
    return embedding[:, :, None, None]


def _size(feature_map: Tensor) -> Size:
    height, width = feature_map.shape[2:]
    return height, width
