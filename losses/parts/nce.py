"""Noise-contrastive estimation (NCE): classifies pairs of embeddings as matching or random.

Source: "Contrastive Representation Distillation", arXiv:1910.10699, section 3, and its official
code: o = exp(score / T) / Z, h = o / (o + K / N),
L = -(sum_b ln h_b0 + sum_bk ln(1 - h_bk)) / B.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

EPS = 1e-7  # of the official code, added to K / N in both denominators


class NCE(nn.Module):
    """The loss of scores; Z is estimated on the first batch in training mode and then constant."""

    log_z: Tensor

    def __init__(self, temperature: float) -> None:
        super().__init__()
        self.temperature = temperature
        self.register_buffer("log_z", torch.zeros(()))
        # On the host: reading it from the device would make every step wait, and estimating Z in
        # every step to select by a mask would cost as much as the loss.
        self.has_z = False

    def forward(self, matching: Tensor, mismatched: Tensor, num_images: int) -> Tensor:
        """A scalar >= 0: the loss of B matching scores [...] and B * K mismatched scores [...].

        `num_images` is N, the size of the data set. The mean is over the matching pairs.
        """
        num_negatives = mismatched.numel() // matching.numel()
        log_z = self.log_z if self.has_z else self._estimate(matching, mismatched, num_images)
        noise = num_negatives / num_images
        # ln of Z (K / N + eps); score / T minus this is the logit of h, so no exp can overflow.
        offset = log_z + math.log(noise + EPS)
        matching = offset - matching / self.temperature
        mismatched = torch.add(-offset, mismatched, alpha=1 / self.temperature)
        total = _softplus(matching).sum() + _softplus(mismatched).sum()
        # 1 - h has no eps in the numerator.
        return total / matching.numel() + num_negatives * math.log1p(EPS / noise)

    @torch.no_grad()
    def _estimate(self, matching: Tensor, mismatched: Tensor, num_images: int) -> Tensor:
        """ln Z, where Z = N times the mean of exp(score / T) over all pairs."""
        num_pairs = matching.numel() + mismatched.numel()
        log_sum = torch.logaddexp(
            (matching / self.temperature).flatten().logsumexp(0),
            (mismatched / self.temperature).flatten().logsumexp(0),
        )
        log_z = log_sum + math.log(num_images / num_pairs)
        if self.training:
            self.log_z.copy_(log_z)
            self.has_z = True
        return log_z

    def get_extra_state(self) -> Tensor:
        """Whether Z is known, bool [], for the state dict."""
        return torch.tensor(self.has_z)

    def set_extra_state(self, state: Tensor) -> None:
        """Restores what `get_extra_state` returned, bool []."""
        self.has_z = bool(state)


def _softplus(logits: Tensor) -> Tensor:
    # Above PyTorch's default threshold of 20 the result would be the argument: wrong by 2e-9.
    return F.softplus(logits, threshold=40.0)
