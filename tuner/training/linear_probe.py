"""Linear probe: trains a linear classifier on a frozen network's embeddings of other data.

As in the transfer experiments of CRD (arXiv:1910.10699, Table 4) and of ITRD's supplement
(Table 3). Neither paper describes the training, nor does the CRD framework's code; a question
about it (github.com/HobbitLong/RepDistiller, issue 44) has no answer. `RECIPE` is therefore an
assumption: the schedule of github.com/winycg/HSAKD, eval_rep.py, the one method of ITRD's
comparisons whose script for this experiment is public. Departures from that script:
- It crops and mirrors the training images at random. Here no image is augmented, so each passes
  the network once instead of once per epoch, which at 100 epochs is a hundredth of the work.
- Its momentum is Nesterov's.
- It reports the best test accuracy of all epochs; here it is the last epoch's.
As there, images are normalised by the statistics of the data that is probed on.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tuner.config.presets import compressed
from tuner.data import Dataset, Splits, epoch_order, evaluation_batches
from tuner.training.evaluation import EVALUATION_BATCH_SIZE, Metrics
from tuner.training.schedule import StepSchedule
from tuner.training.seeding import seeded


@dataclass(frozen=True)
class ProbeRecipe(StepSchedule):
    """How a linear classifier is trained by SGD."""

    batch_size: int
    momentum: float
    weight_decay: float

    def for_epochs(self, epochs: int) -> "ProbeRecipe":
        """The same recipe over another number of epochs, with drops at the same fractions."""
        drops = compressed(self.drops, self.epochs, epochs)
        return replace(self, epochs=epochs, drops=tuple(drop for drop in drops if drop < epochs))


RECIPE = ProbeRecipe(
    epochs=100,
    lr=0.1,
    drops=(30, 60, 90),
    rate=0.1,
    batch_size=64,
    momentum=0.9,
    weight_decay=0.0,
)


def linear_probe(
    network: nn.Module,
    dataset: Dataset,
    splits: Splits,
    recipe: ProbeRecipe,
    *,
    seed: int,
    device: torch.device,
) -> Metrics:
    """Trains the classifier on the training rows; returns its accuracies after the last epoch.

    {"train_accuracy", "val_accuracy", "test_accuracy"} are in percent. The network, which is on
    the device, stays as it was. `seed` determines the classifier's initial weights and the order
    of the images; nothing else is random.
    """
    train, validation, test = (embeddings(network, dataset, rows, device) for rows in splits)
    labels = [torch.from_numpy(dataset.labels[rows].copy()).to(device) for rows in splits]
    classifier = seeded(seed, lambda: nn.Linear(train.shape[1], dataset.num_classes)).to(device)
    _fit(classifier, train, labels[0], recipe, seed)
    parts = zip(("train", "val", "test"), (train, validation, test), labels, strict=True)
    return {f"{name}_accuracy": _accuracy(classifier, x, wanted) for name, x, wanted in parts}


def embeddings(
    network: nn.Module, dataset: Dataset, rows: np.ndarray, device: torch.device
) -> Tensor:
    """The network's embeddings, float32 [N, D], of the rows [N] without augmentation."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    batches = evaluation_batches(dataset, rows, batch_size=EVALUATION_BATCH_SIZE, device=device)
    try:
        # no_grad, not inference_mode: the classifier saves them for backward.
        with torch.no_grad():
            return torch.cat([network(batch.images).embedding for batch in batches])
    finally:
        for module, training in modes:
            module.training = training


def _fit(classifier: nn.Linear, x: Tensor, labels: Tensor, recipe: ProbeRecipe, seed: int) -> None:
    optimizer = torch.optim.SGD(
        classifier.parameters(),
        lr=recipe.lr,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
        fused=True,
    )
    for epoch in range(1, recipe.epochs + 1):
        for group in optimizer.param_groups:
            group["lr"] = recipe.lr_at(epoch)
        order = torch.from_numpy(epoch_order(np.arange(len(x)), seed, epoch)).to(x.device)
        batches = zip(
            x[order].split(recipe.batch_size), labels[order].split(recipe.batch_size), strict=True
        )
        for batch, wanted in batches:
            optimizer.zero_grad(set_to_none=True)
            F.cross_entropy(classifier(batch), wanted).backward()
            optimizer.step()


@torch.no_grad()
def _accuracy(classifier: nn.Linear, x: Tensor, labels: Tensor) -> float:
    return 100 * (classifier(x).argmax(dim=1) == labels).double().mean().item()
