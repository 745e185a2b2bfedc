"""Finds maps before their ReLU, for methods that compare these."""

from losses.loss import LossError
from losses.parts.stages import described, stages
from models.outputs import Shapes


def pre_activation_stages(method: str, whose: str, shapes: Shapes) -> tuple[str, ...]:
    """The names of a network's pre-activation maps after each stage, shallow to deep.

    `whose` is "student" or "teacher". Raises LossError if there are none.
    """
    names = stages(shapes.pre_activation_maps)
    if not names:
        raise LossError(
            f"{method}: the {whose}{f' {shapes.name}' if shapes.name else ''} has no pre-activation"
            f" maps of stages (its feature maps: {described(shapes.feature_maps)});"
            f" choose a built-in {whose}, all of which have them"
        )
    return names
