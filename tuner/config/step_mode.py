"""How a student's step is computed: in which precision, compiled or not.

Results differ in their last digits, so all trainings of a search share one mode.
"""

from dataclasses import dataclass
from typing import Literal

Precision = Literal["float32", "bfloat16"]
WantedPrecision = Literal["auto", "float32", "bfloat16"]


@dataclass(frozen=True)
class StepMode:
    """Weights, loss and evaluation are always in float32."""

    precision: Precision = "float32"  # of the student's forward and backward pass
    compiled: bool = False  # by torch.compile


FLOAT32 = StepMode()
BFLOAT16 = StepMode("bfloat16")


def modes_for(wanted: WantedPrecision) -> list[StepMode]:
    """The step modes that a request can lead to; a requested precision is never compiled."""
    if wanted != "auto":
        return [StepMode(wanted)]
    return [
        StepMode(mode.precision, compiled)
        for mode in (FLOAT32, BFLOAT16)
        for compiled in (False, True)
    ]
