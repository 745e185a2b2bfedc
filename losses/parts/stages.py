"""Pairs the feature maps of two networks: those after each stage, by position."""

from losses.loss import LossError
from models.outputs import Shape, Shapes

STEM = "stem"


def stages(maps: dict[str, Shape]) -> tuple[str, ...]:
    """The names of a network's maps without the stem's, shallow to deep."""
    return tuple(name for name in maps if name != STEM)


def paired_stages(method: str, student: Shapes, teacher: Shapes) -> tuple[tuple[str, str], ...]:
    """Pairs (student's map, teacher's map) of the first, second, ... stages.

    As in the CRD framework, the deepest stages of the longer network are left out. Raises
    LossError if a network has no stages.
    """
    require_stages(method, student, teacher)
    return tuple(zip(stages(student.feature_maps), stages(teacher.feature_maps), strict=False))


def last_stages(method: str, student: Shapes, teacher: Shapes) -> tuple[str, str]:
    """The deepest map of each network. Raises LossError if a network has no stages."""
    require_stages(method, student, teacher)
    return stages(student.feature_maps)[-1], stages(teacher.feature_maps)[-1]


def require_stages(method: str, student: Shapes, teacher: Shapes) -> None:
    """Raises LossError unless both networks have a map after a stage."""
    for whose, maps in (("student", student.feature_maps), ("teacher", teacher.feature_maps)):
        if not stages(maps):
            raise LossError(
                f"{method}: the {whose} has no map after a stage (its maps: {described(maps)});"
                " choose a network with stages"
            )


def described(maps: dict[str, Shape]) -> str:
    """Maps for a message: "stem 16x32x32, stage1 32x32x32"."""
    return ", ".join(f"{name} {size_text(shape)}" for name, shape in maps.items()) or "none"


def size_text(shape: Shape) -> str:
    """A shape for a message: "16x32x32"."""
    return "x".join(map(str, shape))
