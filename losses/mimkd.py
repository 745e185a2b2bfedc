"""Mutual information maximisation (MIMKD): global, local and feature-wise bounds.

Source: "Estimating and Maximizing Mutual Information for Knowledge Distillation", arXiv:2110.15946,
appendix A.1 to A.8. There is no public code. Where the appendix leaves choices open:
- the terms of all pairs of maps are summed or averaged (`feature_reduction`);
- the negative of image i is the student's output for another image of the batch, the same one in
  all terms, found by shifting the batch cyclically by 1 to B - 1 places;
- A.7 stores 4096 negatives for the global term, A.1 uses one: `num_negatives`.
Equation 7's alpha and 1 - alpha are `ce_weight` and `kd_weight`, as in all methods.
Departure: `num_locations` draws that many locations of each map in each step, the same ones for
all images and all maps of one size; the published method uses all locations (None).
"""

import torch
from torch import Tensor, nn

from losses.batch import Batch
from losses.loss import (
    DistillationLoss,
    LossError,
    require_choice,
    require_not_negative,
    require_positive,
)
from losses.parts.critics import Convolve, Critic, ProjectAndDot, jsd_bound
from losses.parts.stages import described
from models.outputs import Outputs, Shapes

CRITICS = ("convolve", "project_and_dot")
SHORTCUTS = ("relu", "linear")
FEATURE_REDUCTIONS = ("sum", "mean")


def require_same_sized_pairs(student: Shapes, teacher: Shapes) -> tuple[tuple[str, str], ...]:
    """As `same_sized_pairs`. Raises LossError if there is none."""
    pairs = same_sized_pairs(student, teacher)
    if not pairs:
        raise LossError(
            "mimkd: no map of the student has the height and width of one of the teacher"
            f" (student: {described(student.feature_maps)};"
            f" teacher: {described(teacher.feature_maps)});"
            " set lambda_f to 0 or choose other networks"
        )
    return pairs


class MIMKD(DistillationLoss):
    """Maximises bounds on the mutual information of the teacher's and student's representations.

    Heads: one critic for the embeddings, one for the teacher's embedding and the student's last
    map, and one for each pair of maps. Terms: "mi_global", "mi_local", "mi_feature"; a term of
    weight 0 is neither built nor computed. Raises LossError if the networks have no maps of
    equal size.
    """

    def __init__(
        self,
        student: Shapes,
        teacher: Shapes,
        *,
        lambda_g: float,
        lambda_l: float,
        lambda_f: float,
        critic: str,
        shortcut: str | None,
        width: int,
        num_locations: int | None,
        num_negatives: int,
        feature_reduction: str,
    ) -> None:
        super().__init__()
        require_not_negative("mimkd: lambda_g", lambda_g)
        require_not_negative("mimkd: lambda_l", lambda_l)
        require_not_negative("mimkd: lambda_f", lambda_f)
        require_choice("mimkd: critic", critic, CRITICS)
        if critic == "project_and_dot":
            require_choice("mimkd: shortcut", shortcut, SHORTCUTS)
        require_choice("mimkd: feature_reduction", feature_reduction, FEATURE_REDUCTIONS)
        require_positive("mimkd: width", width)
        require_positive("mimkd: num_negatives", num_negatives)
        if num_locations is not None:
            require_positive("mimkd: num_locations", num_locations)
        self.lambda_g = lambda_g
        self.lambda_l = lambda_l
        self.lambda_f = lambda_f
        self.critic = critic
        self.shortcut = shortcut
        self.width = width
        self.num_locations = num_locations
        self.feature_reduction = feature_reduction

        needs = []
        if lambda_g or lambda_l:
            needs.append("embedding")
        teacher_width, student_width = teacher.embedding[0], student.embedding[0]
        self.memory: Memory | None = None
        if lambda_g:
            self.global_critic = self.build_critic(teacher_width, student_width)
            if num_negatives > 1:
                self.memory = Memory(num_negatives, student_width)
        if lambda_l:
            self.last_map = last_map_name(student)
            channels = student.feature_maps[self.last_map][0]
            self.local_critic = self.build_critic(teacher_width, channels)
        if lambda_f:
            self.pairs = require_same_sized_pairs(student, teacher)
            self.feature_critics = nn.ModuleList(
                self.build_critic(teacher.feature_maps[t][0], student.feature_maps[s][0])
                for s, t in self.pairs
            )
            needs += [f"feature_maps.{t}" for _, t in self.pairs]
        self.needs = tuple(needs)

    def build_critic(self, teacher_channels: int, student_channels: int) -> Critic:
        """A critic of the chosen kind."""
        if self.critic == "convolve":
            return Convolve(teacher_channels, student_channels, width=self.width)
        assert self.shortcut is not None
        return ProjectAndDot(
            teacher_channels, student_channels, width=self.width, shortcut=self.shortcut
        )

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch) -> dict[str, Tensor]:
        """Returns the scalars "mi_global", "mi_local", "mi_feature", weighted, all >= 0.

        Raises ValueError for a batch of one. In training mode the batch is added to the memory
        of negatives, if there is one.
        """
        num_images = len(student.embedding)
        if num_images < 2:
            raise ValueError("mimkd: a batch of 1 has no negatives; use batch_size >= 2")
        # Asynchronous: a blocking copy would wait for the device.
        negatives = shifted(num_images, batch.seed).to(student.embedding.device, non_blocking=True)

        terms = {}
        if self.lambda_g:
            bound = self.global_bound(student.embedding, teacher.embedding, negatives)
            terms["mi_global"] = -self.lambda_g * bound
        if self.lambda_l:
            student_map = student.feature_maps[self.last_map]
            locations = self.draw_locations(student_map, batch.seed)
            bound = in_batch_bound(
                self.local_critic,
                teacher.embedding[:, None],
                rows_of(student_map, locations),
                negatives,
            )
            terms["mi_local"] = -self.lambda_l * bound
        if self.lambda_f:
            bounds = []
            for critic, (s, t) in zip(self.feature_critics, self.pairs, strict=True):
                assert isinstance(critic, Critic)
                student_map, teacher_map = student.feature_maps[s], teacher.feature_maps[t]
                locations = self.draw_locations(student_map, batch.seed)
                bounds.append(
                    in_batch_bound(
                        critic,
                        rows_of(teacher_map, locations),
                        rows_of(student_map, locations),
                        negatives,
                    )
                )
            terms["mi_feature"] = -self.lambda_f * reduce(bounds, self.feature_reduction)
        return terms

    def global_bound(self, student: Tensor, teacher: Tensor, negatives: Tensor) -> Tensor:
        """The bound for embeddings [B, D_s] and [B, D_t]; mismatched pairs come from the memory.

        `negatives` [B] replace them while the memory is empty. Returns a scalar < 0.
        """
        if self.memory is None:
            return in_batch_bound(self.global_critic, teacher, student, negatives)
        stored = self.memory.stored()
        if self.training:
            self.memory.store(student)
        if len(stored) == 0:
            return in_batch_bound(self.global_critic, teacher, student, negatives)
        critic = self.global_critic
        teacher_part = critic.teacher_part(teacher)
        matching = critic.score(teacher_part, critic.student_part(student))
        mismatched = critic.score_all(teacher_part, critic.student_part(stored))
        return jsd_bound(matching, mismatched)

    def draw_locations(self, feature_map: Tensor, seed: int) -> Tensor | None:
        """The locations [P] of a map [B, C, H, W] that this step uses; None for all H * W."""
        positions = feature_map.shape[2] * feature_map.shape[3]
        if self.num_locations is None or self.num_locations >= positions:
            return None
        # Seeded for each map, so that a draw does not depend on which other terms are computed
        # and trials that differ in one weight remain comparable image by image.
        generator = torch.Generator().manual_seed(seed)
        drawn = torch.randperm(positions, generator=generator)[: self.num_locations]
        return drawn.to(feature_map.device, non_blocking=True)


class Memory(nn.Module):
    """The last `size` student embeddings [size, width], without gradient: first in, first out."""

    embeddings: Tensor

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        self.register_buffer("embeddings", torch.zeros(size, width))
        # On the host: slicing by a number on the device would make every step wait.
        self.num_stored = 0

    def stored(self) -> Tensor:
        """A copy of the valid rows, [0 to size, width], since `store` writes in place."""
        return self.embeddings[: self.num_stored].clone()

    @torch.no_grad()
    def store(self, embeddings: Tensor) -> None:
        """Overwrites the oldest rows with embeddings [B, width]."""
        size = len(self.embeddings)
        newest = embeddings[-size:]
        # Of a batch larger than the memory only the last rows remain.
        first = self.num_stored + len(embeddings) - len(newest)
        places = torch.arange(first, first + len(newest), device=embeddings.device) % size
        self.embeddings.index_copy_(0, places, newest.to(self.embeddings.dtype))
        self.num_stored += len(embeddings)

    def get_extra_state(self) -> Tensor:
        """The number of embeddings stored so far, [], for the state dict."""
        return torch.tensor(self.num_stored)

    def set_extra_state(self, state: Tensor) -> None:
        """Restores what `get_extra_state` returned, []."""
        self.num_stored = int(state)


def in_batch_bound(critic: Critic, teacher: Tensor, student: Tensor, negatives: Tensor) -> Tensor:
    """The bound for the teacher's rows [B, ..., C_t] and the student's [B, ..., C_s]; a scalar < 0.

    Image i is mismatched with image `negatives[i]`; `negatives` are [B].
    """
    student_part = critic.student_part(student)
    # One gather stacks matching and mismatched pairs, [2, B, ..., width].
    matches = torch.arange(len(negatives), device=negatives.device)
    stacked = student_part.index_select(0, torch.cat((matches, negatives)))
    stacked = stacked.unflatten(0, (2, len(negatives)))
    matching, mismatched = critic.score(critic.teacher_part(teacher), stacked).unbind()
    return jsd_bound(matching, mismatched)


def same_sized_pairs(student: Shapes, teacher: Shapes) -> tuple[tuple[str, str], ...]:
    """Pairs (student's map, teacher's map) of equal height and width, shallow to deep (A.3).

    Among the maps of one size, the student's k-th is paired with the teacher's k-th, if both
    exist.
    """
    teachers: dict[tuple[int, ...], list[str]] = {}
    for name, (_, *size) in teacher.feature_maps.items():
        teachers.setdefault(tuple(size), []).append(name)
    pairs = []
    for name, (_, *size) in student.feature_maps.items():
        of_this_size = teachers.get(tuple(size))
        if of_this_size:
            pairs.append((name, of_this_size.pop(0)))
    return tuple(pairs)


def last_map_name(shapes: Shapes) -> str:
    """The deepest feature map. Raises LossError if there is none."""
    if not shapes.feature_maps:
        raise LossError("mimkd: the student has no feature maps; set lambda_l and lambda_f to 0")
    return list(shapes.feature_maps)[-1]


def shifted(num_images: int, seed: int) -> Tensor:
    """For each image the index of another one, int64 [B]: a cyclic shift by 1 to B - 1 places."""
    generator = torch.Generator().manual_seed(seed)
    shift = torch.randint(1, num_images, (1,), generator=generator)
    return (torch.arange(num_images) + shift) % num_images


def rows_of(feature_map: Tensor, locations: Tensor | None) -> Tensor:
    """A map [B, C, H, W] as rows [B, P, C], at the given locations [P] or at all."""
    rows = feature_map.flatten(2).transpose(1, 2)
    return rows if locations is None else rows.index_select(1, locations)


def reduce(bounds: list[Tensor], reduction: str) -> Tensor:
    """The sum or mean of bounds, [] each; a scalar."""
    stacked = torch.stack(bounds)
    return stacked.sum() if reduction == "sum" else stacked.mean()
