"""Complementary relation contrastive distillation (CRCD).

Source: "Complementary Relation Contrastive Distillation", arXiv:2103.16367, and
github.com/Lechatelia/CRCD, which calls itself unofficial and incomplete; its training
script does not run. From there come the arithmetic of both terms and their setting.

What is assumed here, or departs:
- The gradient term has a weight of its own; the script multiplies it by KD's term, as
  10 * alpha * KD * gradient.
- The script compares gradients of equal width only. Where the widths differ, a linear map
  takes the student's gradient to the teacher's width.
- In the last epochs (`finetune_fraction`) the script drops the relation term and KD's, but
  not the gradient term; here both terms of this file go, and KD's, which belongs to the
  `Objective`, stays.
"""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from losses.batch import Batch, TrainingData
from losses.loss import DistillationLoss, LossError, require_not_negative, require_positive
from losses.parts.memory_bank import MemoryBanks, UnitEmbedding, row_products
from losses.parts.nce import NCE
from losses.parts.negatives import Negatives
from models.outputs import Outputs, Shapes

SHIFT = 1e-6  # of the repository: added to every number of a difference


class CRCD(DistillationLoss):
    """CRD on relations, and the cosine between the networks' gradients of the cross-entropy.

    A relation is the direction from an anchor, a bank's row of an image of the batch, to
    another row or to an embedding. The gradients are those for the embeddings.

    Heads: one linear map to unit rows of `width` for student and teacher each; one from the
    student's to the teacher's width if these differ. Memory: two banks of [N, width].
    Terms: "relation", "gradient"; one of weight 0 is neither built nor computed.
    """

    def __init__(
        self,
        student: Shapes,
        teacher: Shapes,
        *,
        relation_weight: float,
        gradient_weight: float,
        num_negatives: int,
        nce_temperature: float,
        negatives: str,
        momentum: float,
        width: int,
        finetune_fraction: float,
    ) -> None:
        super().__init__()
        require_not_negative("crcd: relation_weight", relation_weight)
        require_not_negative("crcd: gradient_weight", gradient_weight)
        require_positive("crcd: nce_temperature", nce_temperature)
        require_positive("crcd: width", width)
        if not 0 <= finetune_fraction < 1:
            raise LossError(
                f"crcd: finetune_fraction is {finetune_fraction}; give 0 or more, below 1"
            )
        for whose, shapes in (("student", student), ("teacher", teacher)):
            if gradient_weight and not shapes.has_classifier:
                raise LossError(
                    f"crcd: the {whose} has no linear classifier, which the gradient term is"
                    " computed from; set gradient_weight to 0"
                )
        self.relation_weight = relation_weight
        self.gradient_weight = gradient_weight
        self.finetune_fraction = finetune_fraction
        student_width, teacher_width = student.embedding[0], teacher.embedding[0]
        if relation_weight:
            self.student_head = UnitEmbedding(student_width, width)
            self.teacher_head = UnitEmbedding(teacher_width, width)
            self.negatives = Negatives("crcd", negatives, num_negatives)
            self.banks = MemoryBanks(width, momentum=momentum)
            self.student_nce = NCE(nce_temperature)
            self.teacher_nce = NCE(nce_temperature)
        self.gradient_head: nn.Linear | None = None
        if gradient_weight and student_width != teacher_width:
            self.gradient_head = nn.Linear(student_width, teacher_width, bias=False)
        self.needs = (("embedding",) if relation_weight else ()) + (
            ("logits", "classifier") if gradient_weight else ()
        )

    def start(self, training: TrainingData) -> None:
        """Makes the banks, of random unit rows, and counts the epochs that have the terms."""
        self.last_epoch = training.num_epochs - int(self.finetune_fraction * training.num_epochs)
        if self.relation_weight:
            device = self.student_head.weight.device
            self.negatives.start(training, device)
            self.banks.start(len(training.rows), device, unit=True)

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch) -> dict[str, Tensor]:
        """Returns {"relation": scalar >= 0, "gradient": scalar in 0 to 2}, weighted.

        Both are 0 in the last epochs. In training mode the banks take up the batch.
        """
        finetuning = batch.epoch > self.last_epoch
        terms = {}
        if self.relation_weight:
            loss = _nothing(student) if finetuning else self.relation(student, teacher, batch)
            terms["relation"] = self.relation_weight * loss
        if self.gradient_weight:
            loss = _nothing(student) if finetuning else self.gradient(student, teacher, batch)
            terms["gradient"] = self.gradient_weight * loss
        return terms

    def relation(self, student: Outputs, teacher: Outputs, batch: Batch) -> Tensor:
        """The relation term, unweighted."""
        rows = self.negatives.rows_of(batch.indices)
        return self.contrast(
            self.student_head(student.embedding),
            self.teacher_head(teacher.embedding),
            rows,
            self.negatives.draw(rows, batch.seed),
        )

    def contrast(self, student: Tensor, teacher: Tensor, rows: Tensor, negatives: Tensor) -> Tensor:
        """Both directions, of unit embeddings [B, width]; in the banks the images have the
        rows [B], which are the anchors too, and their negatives [B, K].
        """
        candidates = torch.cat((rows[:, None], negatives), dim=1)
        loss = student.new_zeros(())
        for embedding, bank, nce in (
            (student, self.banks.teacher, self.student_nce),
            (teacher, self.banks.student, self.teacher_nce),
        ):
            cosines = relation_cosines(embedding, bank, candidates, rows)
            loss = loss + nce(cosines[:, 0], cosines[:, 1:], len(bank))
        if self.training:
            self.banks.take_up(rows, student, teacher)
        return loss

    def gradient(self, student: Outputs, teacher: Outputs, batch: Batch) -> Tensor:
        """1 - cosine of the two gradients of the cross-entropy, mean over the batch."""
        # Both networks have one: see __init__.
        weight, wanted_weight = (
            cast("Tensor", student.classifier),
            cast("Tensor", teacher.classifier),
        )
        ours = embedding_gradient(student.logits, weight, batch.labels)
        if self.gradient_head is not None:
            ours = self.gradient_head(ours)
        theirs = embedding_gradient(teacher.logits, wanted_weight, batch.labels)
        return 1 - F.cosine_similarity(theirs, ours, dim=1).mean()


def relation_cosines(embedding: Tensor, bank: Tensor, rows: Tensor, anchors: Tensor) -> Tensor:
    """Cosines [B, K, A] between two relations to each of A anchors, rows [A] of the bank.

    One is of the embeddings, [B, width], the other of each one's own K rows [B, K] of the bank.
    """
    points = bank[anchors]
    is_itself = rows[:, :, None] == anchors
    if len(bank) > rows.numel():
        # Only what is in use is centred and multiplied.
        bank = bank[rows.flatten()]
        rows = torch.arange(rows.numel(), device=rows.device).view_as(rows)
    # Differences ignore where the origin is, and in the middle less is lost to cancellation.
    centre = points.mean(dim=0)
    bank, embedding, points = bank - centre, embedding - centre, (points - centre) - SHIFT
    # From inner products instead of differences, which would have `width` numbers each:
    # (c - p) . (e - p) = c . e - c . p + (p . p - e . p).
    bank_products = bank @ points.T  # [N, A]
    embedding_products = embedding @ points.T  # [B, A]
    squares = points.square().sum(dim=1)  # [A]
    products = row_products(embedding, bank, rows)[:, :, None] - bank_products[rows]
    products = products + (squares - embedding_products)[:, None]
    bank_lengths = inverse_lengths(bank, bank_products, squares)
    embedding_lengths = inverse_lengths(embedding, embedding_products, squares)
    # An anchor's relation to itself is the diagonal (1, ..., 1) / sqrt(width).
    to_itself = (embedding.sum(dim=1)[:, None] - points.sum(dim=1)) * bank.shape[1] ** -0.5
    cosines = torch.where(is_itself, to_itself[:, None], products * bank_lengths[rows])
    return cosines * embedding_lengths[:, None]


def inverse_lengths(rows: Tensor, products: Tensor, squares: Tensor) -> Tensor:
    """1 / |r - p|, [N, A], of rows [N, width] and points, from r . p, [N, A], and p . p, [A].

    At most that of a difference of equal rows, which consists of SHIFTs.
    """
    lengths = rows.square().sum(dim=1, keepdim=True) + squares - 2 * products
    return lengths.clamp_min(rows.shape[1] * SHIFT**2).rsqrt()


def embedding_gradient(logits: Tensor, classifier: Tensor, labels: Tensor) -> Tensor:
    """The direction [B, D] of the cross-entropy's gradient for the classifier's input.

    Logits are [B, classes], the classifier's weight [classes, D]. The gradient is
    (p - onehot) @ weight; the length 1 - p_label, left out here, would round to 0 for a
    confident network, while what the other classes share of it stays exact.
    """
    label = labels[:, None]
    shares = logits.scatter(1, label, -torch.inf).softmax(dim=1)
    return shares.scatter(1, label, -1.0) @ classifier


def _nothing(student: Outputs) -> Tensor:
    """0, for an epoch without the term: the names of terms stay the same."""
    return student.logits.new_zeros(())
