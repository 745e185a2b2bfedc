"""Wasserstein contrastive representation distillation (WCoRD): global and local.

Source: "Wasserstein Contrastive Representation Distillation", arXiv:2012.08674. There is no
public code, and the formulas are recalled rather than checked against the paper:

    L_global = -E_matching g(t, s) + M E_mismatched g(t, s),  g 1-Lipschitz
    L_local  = min_P <P, 1 - cosine(t_i, s_j)>, entropic optimal transport in the batch

What is assumed here:
- Both terms see the embeddings through CRD's heads, and the negatives are CRD's: drawn from
  two memory banks, the student's mismatched with the teacher and the other way round.
- The critic is one hidden layer with ReLU on [t, s], of the heads' width, spectrally
  normalised and without biases.
- M is `negative_weight`, by default 1, and not the number of negatives. Only with 1 is the
  term the dual form of a distance: with more, a critic that answers the same low number to
  every pair does best. Without biases its answers are at most sqrt(2) in size.
- The plan P is held constant, so the gradient for the cost is P itself; "unrolled"
  differentiates the iterations too.
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
    """Maximises the Wasserstein distance of matching from mismatched pairs over the data set,
    and minimises that of the two networks' embeddings within the batch.

    Heads: one linear map to unit rows of `width` for student and teacher each, and the
    critic. Memory: two banks of [N, width]. Terms: "global", "local"; one of weight 0 is
    neither built nor computed.
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
        """Makes the banks, of random unit rows."""
        if self.lambda_global:
            device = self.student_head.weight.device
            self.negatives.start(training, device)
            self.banks.start(len(training.rows), device, unit=True)

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch) -> dict[str, Tensor]:
        """Returns {"global": scalar, "local": scalar in 0 to 2}, weighted; "global" is negative
        if all is well. In training mode the banks take up the batch.
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
        """The global term, of unit embeddings [B, width]; in the banks the images have the
        rows [B] and their negatives [B, K].
        """
        # Copies, so the banks may change before the backward pass.
        others = self.banks.teacher[negatives], self.banks.student[negatives]
        matching, mismatched = self.critic(teacher, student, *others)
        if self.training:
            self.banks.take_up(rows, student, teacher)
        return wasserstein_gap(matching, mismatched, self.negative_weight)


class LipschitzCritic(nn.Module):
    """v . relu(W [t, s]), whose spectral normalisation keeps its Lipschitz constant at 1.

    Each forward pass in training mode is a step of the power iteration that estimates the
    largest singular value of W, so the constant is 1 only as far as that has converged.
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
        """Scores [B] of the pairs of rows [B, width], and [B, 2K] of each with the others of
        the other network, [B, K, width].
        """
        # Read once: each reading is another step of the power iteration. W [t, s] = W_t t + W_s s.
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
    """-E_matching + negative_weight * E_mismatched of a critic's scores; a scalar."""
    return negative_weight * mismatched.mean() - matching.mean()


def transport_cost(cost: Tensor, epsilon: float, num_iterations: int, *, unrolled: bool) -> Tensor:
    """<P, cost> of the entropic optimal transport plan for a cost [B, B]; a scalar.

    Sinkhorn's iterations, from uniform marginals; what they have reached after so many is P.
    """
    with torch.set_grad_enabled(unrolled and torch.is_grad_enabled()):
        plan = transport_plan(cost, epsilon, num_iterations)
    return (plan * cost).sum()


def transport_plan(cost: Tensor, epsilon: float, num_iterations: int) -> Tensor:
    """The plan [B, B] >= 0 whose rows and columns sum to about 1 / B each."""
    # Logarithms, as exp(-cost / epsilon) can be 0 in float32 for a whole row.
    log_kernel = cost / -epsilon
    log_marginal = -math.log(len(cost))
    log_v = torch.full_like(cost[0], log_marginal)
    for _ in range(num_iterations):
        log_u = log_marginal - (log_kernel + log_v).logsumexp(dim=1)
        log_v = log_marginal - (log_kernel + log_u[:, None]).logsumexp(dim=0)
    return (log_kernel + log_u[:, None] + log_v).exp()
