"""FitNets: regresses the teacher's feature map of one layer from the student's.

Source: "FitNets: Hints for Thin Deep Nets", arXiv:1412.6550, equation 3.
Departure: the CRD framework's form (arXiv:1910.10699), for which the weight was published: the
hint is a term added to the cross-entropy instead of a separate stage before it, its squared
error is a mean instead of half a sum, and the regressor has a batch norm and ends in a ReLU.
"""

import torch.nn.functional as F
from torch import Tensor

from losses.batch import Batch
from losses.loss import DistillationLoss, LossError, require_positive
from losses.parts.regressor import connectable, connector
from losses.parts.stages import described
from models.outputs import Outputs, Shapes


class FitNet(DistillationLoss):
    """Mean squared error of a regressed map. Heads: one regressor. Terms: "fitnet".

    Raises LossError if no regressor can map the student's layer to the teacher's.
    """

    def __init__(self, student: Shapes, teacher: Shapes, *, weight: float, layer: str) -> None:
        super().__init__()
        require_positive("fitnet: weight", weight)
        self.weight = weight
        self.layer = layer
        if layer not in _fitting_layers(student, teacher):
            raise LossError(_misfit(student, teacher, layer))
        self.regressor = connector(
            "fitnet", student.feature_maps[layer], teacher.feature_maps[layer], relu=True
        )
        self.needs = (f"feature_maps.{layer}",)

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch) -> dict[str, Tensor]:
        """Returns {"fitnet": scalar >= 0}, weighted."""
        regressed = self.regressor(student.feature_maps[self.layer])
        error = F.mse_loss(regressed, teacher.feature_maps[self.layer])
        return {"fitnet": self.weight * error}


def _fitting_layers(student: Shapes, teacher: Shapes) -> list[str]:
    """The maps that both networks have and that a regressor can connect."""
    return [
        name
        for name, shape in student.feature_maps.items()
        if name in teacher.feature_maps and connectable(shape, teacher.feature_maps[name])
    ]


def _misfit(student: Shapes, teacher: Shapes, layer: str) -> str:
    fitting = _fitting_layers(student, teacher)
    remedy = f"use layer {' or '.join(fitting)}" if fitting else "choose other networks"
    return (
        f"fitnet: layer {layer!r} must be a map of both networks, the student's at least as large"
        f" as the teacher's or exactly half as large (student: {described(student.feature_maps)};"
        f" teacher: {described(teacher.feature_maps)}); {remedy}"
    )
