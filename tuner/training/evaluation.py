"""Evaluates a network: accuracy and loss."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from tuner.data import Dataset, evaluation_batches

Metrics = dict[str, float]
EVALUATION_BATCH_SIZE = 128  # larger ones are no faster and need more memory than training


def evaluate(
    model: nn.Module, dataset: Dataset, indices: np.ndarray, device: torch.device
) -> Metrics:
    """Returns {"accuracy": percent, "loss": cross-entropy} over the rows `indices`, int64 [N].

    Leaves the network, which is on the device, in evaluation mode.
    """
    model.eval()
    correct = torch.zeros((), dtype=torch.int64, device=device)
    loss = torch.zeros((), dtype=torch.float64, device=device)
    with torch.inference_mode():
        for batch in evaluation_batches(
            dataset, indices, batch_size=EVALUATION_BATCH_SIZE, device=device
        ):
            logits = model(batch.images).logits
            correct += (logits.argmax(dim=1) == batch.labels).sum()
            loss += F.cross_entropy(logits, batch.labels, reduction="sum")
    return {"accuracy": 100 * correct.item() / len(indices), "loss": loss.item() / len(indices)}
