"""Critics that tell matching pairs of representations from mismatched ones.

Source: "Estimating and Maximizing Mutual Information for Knowledge Distillation" (MIMKD),
arXiv:2110.15946, appendix A.4, Tables 6 to 9; the bound is Deep InfoMax's, arXiv:1808.06670.
A 1x1 convolution on a map is a linear map at each location, so critics take rows
[B, P, C], P locations of each image; a vector is one location. What each network
contributes is computed once (`teacher_part`, `student_part`), and matching and
mismatched pairs are scored from the same parts.
"""

import torch.nn.functional as F
from torch import Tensor, nn


class Critic(nn.Module):
    """Interface of the critics; the parts are `width` numbers a location."""

    def teacher_part(self, rows: Tensor) -> Tensor:
        """[..., C_t] to [..., width]."""
        raise NotImplementedError

    def student_part(self, rows: Tensor) -> Tensor:
        """[..., C_s] to [..., width]."""
        raise NotImplementedError

    def score(self, teacher: Tensor, student: Tensor) -> Tensor:
        """Scores [...] of parts [..., width] that broadcast against each other."""
        raise NotImplementedError

    def score_all(self, teacher: Tensor, student: Tensor) -> Tensor:
        """Scores [B, M] of each of B teacher parts with each of M student parts."""
        return self.score(teacher[:, None], student[None, :])


class Convolve(Critic):
    """Three layers on the concatenation [teacher, student] (Tables 6 and 7)."""

    def __init__(self, teacher_channels: int, student_channels: int, *, width: int) -> None:
        super().__init__()
        self.channels = (teacher_channels, student_channels)
        self.first = nn.Linear(teacher_channels + student_channels, width)
        self.second = nn.Linear(width, width)
        self.third = nn.Linear(width, 1)

    # The first layer on [t, s] is W_t t + W_s s + b: exact, and no pair is concatenated.
    def teacher_part(self, rows: Tensor) -> Tensor:
        return F.linear(rows, self.first.weight[:, : self.channels[0]], self.first.bias)

    def student_part(self, rows: Tensor) -> Tensor:
        return F.linear(rows, self.first.weight[:, self.channels[0] :])

    def score(self, teacher: Tensor, student: Tensor) -> Tensor:
        # In place: no backward reads a layer's result from before its ReLU.
        hidden = (teacher + student).relu_()
        hidden = self.second(hidden).relu_()
        return self.third(hidden).squeeze(-1)


class ProjectAndDot(Critic):
    """Inner product of two projections (Tables 8 and 9)."""

    def __init__(
        self, teacher_channels: int, student_channels: int, *, width: int, shortcut: str
    ) -> None:
        super().__init__()
        self.teacher_projection = Projection(teacher_channels, width, shortcut)
        self.student_projection = Projection(student_channels, width, shortcut)

    def teacher_part(self, rows: Tensor) -> Tensor:
        return self.teacher_projection(rows)

    def student_part(self, rows: Tensor) -> Tensor:
        return self.student_projection(rows)

    def score(self, teacher: Tensor, student: Tensor) -> Tensor:
        return (teacher * student).sum(dim=-1)

    def score_all(self, teacher: Tensor, student: Tensor) -> Tensor:
        return teacher @ student.T


class Projection(nn.Module):
    """Two layers and a shortcut, summed and normalised over channels at each location.

    `shortcut` is "relu", as in Tables 8 and 9, or "linear", as the text has it.
    """

    def __init__(self, channels: int, width: int, shortcut: str) -> None:
        super().__init__()
        self.first = nn.Linear(channels, width)
        self.second = nn.Linear(width, width)
        self.shortcut = nn.Linear(channels, width)
        self.norm = nn.LayerNorm(width)
        self.relu_shortcut = shortcut == "relu"

    def forward(self, rows: Tensor) -> Tensor:
        """[..., channels] to [..., width]."""
        shortcut = self.shortcut(rows)
        if self.relu_shortcut:
            shortcut = shortcut.relu()
        return self.norm(self.second(self.first(rows).relu()) + shortcut)


def jsd_bound(matching: Tensor, mismatched: Tensor) -> Tensor:
    """Jensen-Shannon bound on mutual information: a scalar < 0, greater is better.

    Means over all scores of either kind. Deep InfoMax's code adds 2 ln 2.
    """
    return -F.softplus(-matching).mean() - F.softplus(mismatched).mean()
