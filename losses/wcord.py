"""Wasserstein contrastive representation distillation (WCoRD): global and local terms.

Source: "Wasserstein Contrastive Representation Distillation", arXiv:2012.08674. There is no public
code, and the formulas are recalled, not checked against the paper:

    L_global = -E_matching g(t, s) + M E_mismatched g(t, s),  g 1-Lipschitz
    L_local  = min_P <P, 1 - cosine(t_i, s_j)>, entropic optimal transport in the batch

Assumptions:
- Both terms use CRD's heads, and the negatives are CRD's: drawn from two memory banks, the
  student's mismatched with the teacher and vice versa.
- The critic has one hidden layer with ReLU on [t, s], as wide as the heads, spectrally normalised
  and without biases.
- M is `negative_weight`, by default 1, and not the number of negatives. Only with 1 is the term the
  dual form of a distance: with more, a critic that gives all pairs the same low score is optimal.
  Without biases the scores are at most sqrt(2) in size.
- The plan P is held constant, so the gradient with respect to the cost is P; "unrolled" also
  differentiates the iterations.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from losses.batch import Batch, TrainingData
from losses.loss import DistillationLoss, require_choice, require_not_negative, require_positive
from losses.parts.memory_bank import MemoryBanks, UnitEmbedding
from losses.parts.negatives import Negatives
from models.outputs import Outputs, Shapes

PLANS = ("constant", "unrolled")


class WCoRD(DistillationLoss):
    """Wasserstein distances: of matching from mismatched pairs, and of the embeddings in a batch.

    The first, over the data set, is maximised, the second minimised. Heads: a linear map to unit
    rows of `width` for each network, and the critic. Memory: two banks [N, width]. Terms:
    "global", "local"; a term of weight 0 is neither built nor computed.
    """

    def __init__(
        self,
        student: Shapes,
        teacher: Shapes,
        *,
        lambda_global: float,
        lambda_local: float,
        epsilon: float,
        num_negatives: int,
        negative_weight: float,
        negatives: str,
        momentum: float,
        width: int,
        num_iterations: int,
        plan: str,
    ) -> None:
        super().__init__()
        require_not_negative("wcord: lambda_global", lambda_global)
        require_not_negative("wcord: lambda_local", lambda_local)
        require_positive("wcord: negative_weight", negative_weight)
        require_positive("wcord: epsilon", epsilon)
        require_positive("wcord: num_iterations", num_iterations)
        require_positive("wcord: width", width)
        require_choice("wcord: plan", plan, PLANS)
        self.lambda_global = lambda_global
        self.lambda_local = lambda_local
        self.epsilon = epsilon
        self.negative_weight = negative_weight
        self.num_iterations = num_iterations
        self.unrolled = plan == "unrolled"
        if lambda_global or lambda_local:
            self.student_head = UnitEmbedding(student.embedding[0], width)
            self.teacher_head = UnitEmbedding(teacher.embedding[0], width)
            self.needs = ("embedding",)
        if lambda_global:
            self.critic = LipschitzCritic(width)
            self.negatives = Negatives("wcord", negatives, num_negatives)
            self.banks = MemoryBanks(width, momentum=momentum)

    def start(self, training: TrainingData) -> None:
        """Creates the banks of random unit rows."""
        if self.lambda_global:
            device = self.student_head.weight.device
            self.negatives.start(training, device)
            self.banks.start(len(training.rows), device, unit=True)

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch) -> dict[str, Tensor]:
        """Returns {"global": scalar, "local": scalar in [0, 2]}, weighted.

        "global" is negative if the critic separates the pairs. In training mode the banks are
        updated with the batch.
        """
        terms: dict[str, Tensor] = {}
        if not (self.lambda_global or self.lambda_local):
            return terms
        ours, theirs = self.student_head(student.embedding), self.teacher_head(teacher.embedding)
        if self.lambda_global:
            rows = self.negatives.rows_of(batch.indices)
            loss = self.contrast(ours, theirs, rows, self.negatives.draw(rows, batch.seed))
            terms["global"] = self.lambda_global * loss
        if self.lambda_local:
            cost = 1 - theirs @ ours.T
            loss = transport_cost(cost, self.epsilon, self.num_iterations, unrolled=self.unrolled)
            terms["local"] = self.lambda_local * loss
        return terms

    def contrast(self, student: Tensor, teacher: Tensor, rows: Tensor, negatives: Tensor) -> Tensor:
        """The global term for unit embeddings [B, width]; a scalar.

        `rows` [B] are the images' rows in the banks, `negatives` [B, K] those of others.
        """
        # Copies, so that the banks may change before the backward pass.
        others = self.banks.teacher[negatives], self.banks.student[negatives]
        matching, mismatched = self.critic(teacher, student, *others)
        if self.training:
            self.banks.update(rows, student, teacher)
        return wasserstein_gap(matching, mismatched, self.negative_weight)


class LipschitzCritic(nn.Module):
    """v . relu(W [t, s]), spectrally normalised to a Lipschitz constant of 1.

    Each forward pass in training mode is one step of the power iteration that estimates the
    largest singular value of W, so the constant is 1 only once that has converged.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(2 * width, width, bias=False)
        self.output = nn.Linear(width, 1, bias=False)
        for layer in (self.hidden, self.output):
            spectral_norm(layer)

    def forward(
        self, teacher: Tensor, student: Tensor, other_teachers: Tensor, other_students: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Scores [B] of matching rows [B, width], and [B, 2K] of mismatched ones.

        Each row is mismatched with K rows of the other network, [B, K, width].
        """
        # Read once, as each access is a step of the power iteration. W [t, s] = W_t t + W_s s.
        teacher_part, student_part = self.hidden.weight.T.chunk(2)
        theirs, ours = (teacher @ teacher_part)[:, None], (student @ student_part)[:, None]
        hidden = torch.cat(
            (
                theirs + ours,
                theirs + other_students @ student_part,
                other_teachers @ teacher_part + ours,
            ),
            dim=1,
        )
        scores = hidden.relu() @ self.output.weight[0]
        return scores[:, 0], scores[:, 1:]


def wasserstein_gap(matching: Tensor, mismatched: Tensor, negative_weight: float) -> Tensor:
    """-E_matching + negative_weight * E_mismatched of a critic's scores [...]; a scalar."""
    return negative_weight * mismatched.mean() - matching.mean()


def transport_cost(cost: Tensor, epsilon: float, num_iterations: int, *, unrolled: bool) -> Tensor:
    """<P, cost> of the entropic optimal transport plan P for a cost [B, B]; a scalar.

    P is the result of `num_iterations` of Sinkhorn's algorithm with uniform marginals.
    """
    with torch.set_grad_enabled(unrolled and torch.is_grad_enabled()):
        plan = transport_plan(cost, epsilon, num_iterations)
    return (plan * cost).sum()


def transport_plan(cost: Tensor, epsilon: float, num_iterations: int) -> Tensor:
    """The transport plan [B, B] for a cost [B, B]; rows and columns sum to about 1 / B.

    All elements are >= 0.
    """
    # In logarithms, as exp(-cost / epsilon) can be 0 in float32 for a whole row.
    log_kernel = cost / -epsilon
    log_marginal = -math.log(len(cost))
    log_v = torch.full_like(cost[0], log_marginal)
    for _ in range(num_iterations):
        log_u = log_marginal - (log_kernel + log_v).logsumexp(dim=1)
        log_v = log_marginal - (log_kernel + log_u[:, None]).logsumexp(dim=0)
    return (log_kernel + log_u[:, None] + log_v).exp()
