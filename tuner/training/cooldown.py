"""What a training would reach if its learning rate dropped now.

Before the first drop, the accuracy of one training wobbles by more than two settings differ. A
cooldown emulates the drops early, in a copy of the training.
"""

from collections.abc import Sequence

from tuner.training.distillation import Distillation
from tuner.training.evaluation import Metrics


def cooldown(training: Distillation, rates: Sequence[float]) -> list[Metrics]:
    """Trains a copy for one epoch at each of the rates; `training` itself does not change.

    The rates are relative to the learning rate of the last epoch. Returns the metrics of the
    validation split after each: {"accuracy": percent, "loss": cross-entropy}.
    """
    saved = training.state()
    stage, epoch = training.stages[-1], len(training.history)
    lr = stage.schedule.lr_at(epoch)
    metrics = []
    for number, rate in enumerate(rates, start=1):
        training.train_epoch(stage, epoch + number, lr * rate)
        metrics.append(training.validate())
    training.restore(saved)
    return metrics
