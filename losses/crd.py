"""Contrastive representation distillation (CRD): contrasts embeddings across the networks.

Source: "Contrastive Representation Distillation", arXiv:1910.10699, section 3, and its official
code, github.com/HobbitLong/RepDistiller, which settles what the paper leaves open: the two
banks, Z, and the loss in both directions.
"""

from torch import Tensor

from losses.batch import Batch, TrainingData
from losses.loss import DistillationLoss, require_positive
from losses.parts.memory_bank import MemoryBanks, UnitEmbedding, at_once, row_products
from losses.parts.nce import NCE
from losses.parts.negatives import Negatives
from models.outputs import Outputs, Shapes


class CRD(DistillationLoss):
    """Tells an image's embedding by the other network from those of other images.

    Heads: a linear map to unit rows of `width` for each network. Memory: two banks [N, width].
    Terms: "crd".
    """

    needs = ("embedding",)

    def __init__(
        self,
        student: Shapes,
        teacher: Shapes,
        *,
        weight: float,
        num_negatives: int,
        nce_temperature: float,
        negatives: str,
        momentum: float,
        width: int,
    ) -> None:
        super().__init__()
        require_positive("crd: weight", weight)
        require_positive("crd: nce_temperature", nce_temperature)
        require_positive("crd: width", width)
        self.weight = weight
        self.student_head = UnitEmbedding(student.embedding[0], width)
        self.teacher_head = UnitEmbedding(teacher.embedding[0], width)
        self.negatives = Negatives("crd", negatives, num_negatives)
        self.banks = MemoryBanks(width, momentum=momentum)
        self.student_nce = NCE(nce_temperature)
        self.teacher_nce = NCE(nce_temperature)

    def start(self, training: TrainingData) -> None:
        """Creates the banks of random rows, whose lengths are only about 1."""
        device = self.student_head.weight.device
        self.negatives.start(training, device)
        self.banks.start(len(training.rows), device, unit=False)

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch) -> dict[str, Tensor]:
        """Returns {"crd": scalar >= 0}, weighted; updates the banks in training mode."""
        rows = self.negatives.rows_of(batch.indices)
        loss = self.contrast(
            self.student_head(student.embedding),
            self.teacher_head(teacher.embedding),
            rows,
            self.negatives.draw(rows, batch.seed),
        )
        return {"crd": self.weight * loss}

    def contrast(self, student: Tensor, teacher: Tensor, rows: Tensor, negatives: Tensor) -> Tensor:
        """Both directions for unit embeddings [B, width]; a scalar >= 0.

        `rows` [B] are the images' rows in the banks, `negatives` [B, K] those of others.
        """
        loss = contrast_with_bank(student, self.banks.teacher, rows, negatives, self.student_nce)
        loss = loss + contrast_with_bank(
            teacher, self.banks.student, rows, negatives, self.teacher_nce
        )
        if self.training:
            self.banks.update(rows, student, teacher)
        return loss


def contrast_with_bank(
    embedding: Tensor, bank: Tensor, rows: Tensor, negatives: Tensor, nce: NCE
) -> Tensor:
    """One direction: embeddings [B, width] against rows [B] and negatives [B, K] of a bank.

    The bank is [N, width]. Returns a scalar >= 0 whose backward does not read the bank.
    """

    def loss(embedding: Tensor) -> Tensor:
        matching = (embedding * bank[rows]).sum(dim=1)
        return nce(matching, row_products(embedding, bank, negatives), len(bank))

    return at_once(loss, embedding)
