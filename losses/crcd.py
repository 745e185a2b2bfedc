"""Complementary relation contrastive distillation (CRCD): contrasts relations, aligns gradients.

Source: "Complementary Relation Contrastive Distillation", arXiv:2103.16367, and
github.com/Lechatelia/CRCD, which calls itself unofficial and incomplete; its training
script does not run. The arithmetic of both terms and their settings come from there.

Assumptions and departures:
- The gradient term has its own weight; the script multiplies it by KD's term, as
  10 * alpha * KD * gradient.
- The script compares gradients of equal width only. If the widths differ, a linear map takes
  the student's gradient to the teacher's width.
- In the last epochs (`finetune_fraction`) the script drops the relation term and KD's term but
  not the gradient term; here both terms of this file are dropped, and KD's, which belongs to
  the `Objective`, stays.
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

SHIFT = 1e-6  # the repository adds it to every element of a difference


class CRCD(DistillationLoss):
    """CRD on relations, and the cosine of the networks' gradients of the cross-entropy.

    A relation is the direction from an anchor, the bank's row of an image of the batch, to
    another row or to an embedding. The gradients are with respect to the embeddings.

    Heads: a linear map to unit rows of `width` for each network; one from the student's to the
    teacher's width if these differ. Memory: two banks [N, width]. Terms: "relation",
    "gradient"; a term of weight 0 is neither built nor computed. Raises LossError if a network
    has no linear classifier.
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
                f"crcd: finetune_fraction is {finetune_fraction}; give at least 0 and less than 1"
            )
        for whose, shapes in (("student", student), ("teacher", teacher)):
            if gradient_weight and not shapes.has_classifier:
                raise LossError(
                    f"crcd: the {whose} has no linear classifier, which the gradient term"
                    " needs; set gradient_weight to 0"
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
        """Creates the banks of random unit rows; determines the last epoch with the terms."""
        self.last_epoch = training.num_epochs - int(self.finetune_fraction * training.num_epochs)
        if self.relation_weight:
            device = self.student_head.weight.device
            self.negatives.start(training, device)
            self.banks.start(len(training.rows), device, unit=True)

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch) -> dict[str, Tensor]:
        """Returns {"relation": scalar >= 0, "gradient": scalar in [0, 2]}, weighted.

        Both are 0 in the last epochs. In training mode the banks are updated with the batch.
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
        """The relation term, unweighted; a scalar >= 0."""
        rows = self.negatives.rows_of(batch.indices)
        return self.contrast(
            self.student_head(student.embedding),
            self.teacher_head(teacher.embedding),
            rows,
            self.negatives.draw(rows, batch.seed),
        )

    def contrast(self, student: Tensor, teacher: Tensor, rows: Tensor, negatives: Tensor) -> Tensor:
        """Both directions for unit embeddings [B, width]; a scalar >= 0.

        `rows` [B] are the images' rows in the banks, which are also the anchors; `negatives`
        are [B, K].
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
            self.banks.update(rows, student, teacher)
        return loss

    def gradient(self, student: Outputs, teacher: Outputs, batch: Batch) -> Tensor:
        """1 - cosine of the two gradients of the cross-entropy, mean over the batch; a scalar."""
        # Both networks have a classifier: see __init__.
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
    """Cosines [B, K, A] between pairs of relations to A anchors, rows [A] of the bank [N, width].

    One relation of a pair leads to an embedding [B, width], the other to each of its K rows
    [B, K] of the bank.
    """
    points = bank[anchors]
    is_itself = rows[:, :, None] == anchors
    if len(bank) > rows.numel():
        # Only the rows in use are centred and multiplied.
        bank = bank[rows.flatten()]
        rows = torch.arange(rows.numel(), device=rows.device).view_as(rows)
    # Differences do not depend on the origin; near the mean, cancellation loses less precision.
    centre = points.mean(dim=0)
    bank, embedding, points = bank - centre, embedding - centre, (points - centre) - SHIFT
    # Computed from inner products, because each difference would have `width` elements:
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
    """1 / |r - p| [N, A] for rows r [N, width] and points p, from r . p [N, A] and p . p [A].

    Bounded by the value for equal rows, whose difference consists of SHIFTs.
    """
    lengths = rows.square().sum(dim=1, keepdim=True) + squares - 2 * products
    return lengths.clamp_min(rows.shape[1] * SHIFT**2).rsqrt()


def embedding_gradient(logits: Tensor, classifier: Tensor, labels: Tensor) -> Tensor:
    """The direction [B, D] of the cross-entropy's gradient at the classifier's input.

    Logits are [B, classes], labels [B], the classifier's weight [classes, D]. The gradient is
    (p - onehot) @ weight. Its factor 1 - p_label is omitted: it would round to 0 for a
    confident network, while the shares of the other classes in it stay exact.
    """
    label = labels[:, None]
    shares = logits.scatter(1, label, -torch.inf).softmax(dim=1)
    return shares.scatter(1, label, -1.0) @ classifier


def _nothing(student: Outputs) -> Tensor:
    """0, for epochs without the term, so that the names of the terms do not change."""
    return student.logits.new_zeros(())
