"""Critics that tell matching pairs of representations from mismatched ones.

Source: "Estimating and Maximizing Mutual Information for Knowledge Distillation" (MIMKD),
arXiv:2110.15946, appendix A.4, Tables 6 to 9; the bound is Deep InfoMax's, arXiv:1808.06670.
A 1x1 convolution is a linear map at each location, so critics take rows [B, P, C] of P locations
per image; a vector is one location. Each network's contribution is computed once
(`teacher_part`, `student_part`), and matching and mismatched pairs are scored from these parts.
"""

import torch.nn.functional as F
from torch import Tensor, nn


class Critic(nn.Module):
    """Interface of the critics; a part is a vector of `width` numbers per location."""

    def teacher_part(self, rows: Tensor) -> Tensor:
        """The teacher's rows [..., C_t] to parts [..., width]."""
        raise NotImplementedError

    def student_part(self, rows: Tensor) -> Tensor:
        """The student's rows [..., C_s] to parts [..., width]."""
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

    # The first layer on [t, s] is W_t t + W_s s + b: exact without concatenating any pair.
    def teacher_part(self, rows: Tensor) -> Tensor:
        """W_t t + b: rows [..., C_t] to [..., width]."""
        return F.linear(rows, self.first.weight[:, : self.channels[0]], self.first.bias)

    def student_part(self, rows: Tensor) -> Tensor:
        """W_s s: rows [..., C_s] to [..., width]."""
        return F.linear(rows, self.first.weight[:, self.channels[0] :])

    def score(self, teacher: Tensor, student: Tensor) -> Tensor:
        """Scores [...] of parts [..., width] that broadcast against each other."""
        # In place, because no backward reads the values before a ReLU.
        hidden = (teacher + student).relu_()
        hidden = self.second(hidden).relu_()
        return self.third(hidden).squeeze(-1)


class ProjectAndDot(Critic):
    """The inner product of two projections (Tables 8 and 9)."""

    def __init__(
        self, teacher_channels: int, student_channels: int, *, width: int, shortcut: str
    ) -> None:
        super().__init__()
        self.teacher_projection = Projection(teacher_channels, width, shortcut)
        self.student_projection = Projection(student_channels, width, shortcut)

    def teacher_part(self, rows: Tensor) -> Tensor:
        """Projects rows [..., C_t] to [..., width]."""
        return self.teacher_projection(rows)

    def student_part(self, rows: Tensor) -> Tensor:
        """Projects rows [..., C_s] to [..., width]."""
        return self.student_projection(rows)

    def score(self, teacher: Tensor, student: Tensor) -> Tensor:
        """Inner products [...] of parts [..., width] that broadcast against each other."""
        return (teacher * student).sum(dim=-1)

    def score_all(self, teacher: Tensor, student: Tensor) -> Tensor:
        """Inner products [B, M] of parts [B, width] and [M, width]."""
        return teacher @ student.T


class Projection(nn.Module):
    """Two layers plus a shortcut, normalised over the channels at each location.

    `shortcut` is "relu", as in Tables 8 and 9, or "linear", as in the text.
    """

    def __init__(self, channels: int, width: int, shortcut: str) -> None:
        super().__init__()
        self.first = nn.Linear(channels, width)
        self.second = nn.Linear(width, width)
        self.shortcut = nn.Linear(channels, width)
        self.norm = nn.LayerNorm(width)
        self.relu_shortcut = shortcut == "relu"

    def forward(self, rows: Tensor) -> Tensor:
        """Rows [..., channels] to [..., width]."""
        shortcut = self.shortcut(rows)
        if self.relu_shortcut:
            shortcut = shortcut.relu()
        return self.norm(self.second(self.first(rows).relu()) + shortcut)


def jsd_bound(matching: Tensor, mismatched: Tensor) -> Tensor:
    """Jensen-Shannon bound on mutual information; a scalar < 0, greater is better.

    The mean over the scores [...] of matching pairs, plus that over mismatched ones. Deep
    InfoMax's code adds 2 ln 2.
    """
    return -F.softplus(-matching).mean() - F.softplus(mismatched).mean()
