"""Maps a student's feature map to the channels and size of a teacher's by a convolution.

Source: the CRD framework (arXiv:1910.10699), where FitNets' regressor ends in a ReLU and the
connector of activation boundaries does not.
"""

from torch import nn

from losses.loss import LossError
from losses.parts.stages import size_text
from models.outputs import Shape


def connector(method: str, student: Shape, teacher: Shape, *, relu: bool) -> nn.Sequential:
    """Convolution, batch norm and optionally a ReLU, [B, *student] to [B, *teacher].

    Depending on the sizes the convolution is 3x3 with stride 2 (halves), transposed 4x4 with
    stride 2 (doubles), or unpadded with a kernel that makes up the difference (1x1 for equal
    sizes). Raises LossError for shapes (C, H, W) that are not `connectable`.
    """
    if not connectable(student, teacher):
        raise LossError(
            f"{method}: the student's map of {size_text(student)} cannot be mapped to the"
            f" teacher's of {size_text(teacher)}; choose networks whose student has maps at"
            " least as large as the teacher's, or exactly half as large"
        )
    layers: list[nn.Module] = [_convolution(student, teacher), nn.BatchNorm2d(teacher[0])]
    if relu:
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)


def connectable(student: Shape, teacher: Shape) -> bool:
    """Whether a student's map is at least as large as a teacher's, or exactly half as large."""
    at_least_as_large = all(s >= t for s, t in zip(student[1:], teacher[1:], strict=True))
    return at_least_as_large or _is_half(student, teacher)


def _convolution(student: Shape, teacher: Shape) -> nn.Conv2d | nn.ConvTranspose2d:
    if _is_half(teacher, student):
        return nn.Conv2d(student[0], teacher[0], 3, stride=2, padding=1)
    if _is_half(student, teacher):
        return nn.ConvTranspose2d(student[0], teacher[0], 4, stride=2, padding=1)
    height, width = (1 + s - t for s, t in zip(student[1:], teacher[1:], strict=True))
    return nn.Conv2d(student[0], teacher[0], (height, width))


def _is_half(small: Shape, large: Shape) -> bool:
    return all(2 * s == t for s, t in zip(small[1:], large[1:], strict=True))
