"""The learning-rate rule: a constant rate that drops after given epochs."""

from dataclasses import dataclass


@dataclass(frozen=True)
class StepSchedule:
    """Epochs of SGD and their learning rates."""

    epochs: int
    lr: float
    drops: tuple[int, ...]  # epochs after which the rate drops
    rate: float  # the learning rate is multiplied by this at each drop

    def lr_at(self, epoch: int) -> float:
        """The learning rate of an epoch, counted from 1."""
        return self.lr * self.rate ** sum(epoch > drop for drop in self.drops)
