"""Memory banks: a unit embedding of every training image, from each of the two networks.

Source: the CRD framework (arXiv:1910.10699), after "Unsupervised Feature Learning via
Non-Parametric Instance Discrimination", arXiv:1805.01978. A bank gives a batch its
negatives without another pass of a network. It is not trained: after each batch the rows
of its images move to their new embeddings, new = m old + (1 - m) e, and back to length 1.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


class UnitEmbedding(nn.Linear):
    """A linear map [B, D] to rows of length 1, [B, width]; zeros stay zeros."""

    def forward(self, embedding: Tensor) -> Tensor:
        return F.normalize(super().forward(embedding), dim=1)


class MemoryBanks(nn.Module):
    """The student's and the teacher's bank, [N, width] each."""

    student: Tensor
    teacher: Tensor

    def __init__(self, width: int, *, momentum: float) -> None:
        super().__init__()
        self.width = width
        self.momentum = momentum
        self.register_buffer("student", None)
        self.register_buffer("teacher", None)

    def start(self, num_images: int, device: torch.device, *, unit: bool) -> None:
        """Fills the banks with random rows, of length 1 if `unit`, else of about that length.

        They are drawn on the CPU, so that they are the same on every device.
        """
        bound = (self.width / 3) ** -0.5
        for name in ("student", "teacher"):
            bank = torch.empty(num_images, self.width).uniform_(-bound, bound)
            setattr(self, name, (F.normalize(bank, dim=1) if unit else bank).to(device))

    @torch.no_grad()
    def take_up(self, rows: Tensor, student: Tensor, teacher: Tensor) -> None:
        """Moves `rows`, [B], to these embeddings, [B, width]. In place: see `at_once`."""
        for bank, embedding in ((self.student, student), (self.teacher, teacher)):
            moved = self.momentum * bank[rows] + (1 - self.momentum) * embedding
            bank.index_copy_(0, rows, F.normalize(moved, dim=1).to(bank.dtype))


def row_products(embedding: Tensor, bank: Tensor, rows: Tensor) -> Tensor:
    """Products [B, K] of each embedding [B, width] with its own rows [B, K] of the bank."""
    # Measured for 64 images and width 128: 0.3 to 0.5 microseconds for each row of the bank
    # against 20 to 35 for each gathered column of rows. Up to there it needs less memory too.
    if len(bank) <= 64 * rows.shape[1]:
        return product_with_all(embedding, bank, rows)
    return product_with_gathered(embedding, bank, rows)


def product_with_all(embedding: Tensor, bank: Tensor, rows: Tensor) -> Tensor:
    """`row_products` by way of all rows, [B, N]: one matrix product, fast if K is not small."""
    return (embedding @ bank.T).gather(1, rows)


def product_with_gathered(embedding: Tensor, bank: Tensor, rows: Tensor) -> Tensor:
    """`row_products` by way of the rows themselves, [B, K, width]: for a bank of very many."""
    gathered = bank.index_select(0, rows.flatten()).unflatten(0, rows.shape)
    return torch.bmm(gathered, embedding[:, :, None]).squeeze(2)


def at_once(function: Callable[[Tensor], Tensor], embedding: Tensor) -> Tensor:
    """The scalar function(embedding), whose gradient for the embedding is computed right here.

    What else the function reads may then change before the backward pass: a bank that takes
    up the batch in place, where a copy would be of the size of the data set.
    """
    if not (torch.is_grad_enabled() and embedding.requires_grad):
        return function(embedding)
    leaf = embedding.detach().requires_grad_()
    value = function(leaf)
    (gradient,) = torch.autograd.grad(value, leaf)
    known: Tensor = _Known.apply(embedding, value.detach(), gradient)
    return known


class _Known(torch.autograd.Function):
    """A scalar that was computed with its gradient for the embedding."""

    @staticmethod
    def forward(ctx: Any, embedding: Tensor, value: Tensor, gradient: Tensor) -> Tensor:
        ctx.save_for_backward(gradient)
        return value.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return grad_output * gradient, None, None
