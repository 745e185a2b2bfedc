"""Negatives: for each image of a batch, other training images drawn at random.

Source: the CRD framework (arXiv:1910.10699), which draws them from the other classes, with
replacement; MIMKD's own CRD baseline (arXiv:2110.15946) draws any other image.
"""

import torch
from torch import Tensor, nn

from losses.batch import TrainingData
from losses.loss import LossError, require_choice, require_positive

OTHER_CLASS, OTHER_IMAGE = "other_class", "other_image"
# Random integers below this are scaled down to a range. A draw is uniform to one part in
# 2**40 / N, and 2**40 N fits into int64 for data sets of up to 8 million images.
RESOLUTION_BITS = 40


class Negatives(nn.Module):
    """Numbers the training images as rows 0 to N - 1 of a bank, and draws from them.

    The rows are in the order of their labels, so that an image's class is a block of them.
    `method` is named in refusals.
    """

    indices: Tensor  # [N], ascending: the images' rows in the data set
    row_of_index: Tensor  # [N]: their rows in the bank
    class_start: Tensor  # [N], for each row of the bank the first row of its class
    class_size: Tensor  # [N]

    def __init__(self, method: str, kind: str, num_negatives: int) -> None:
        super().__init__()
        require_choice(f"{method}: negatives", kind, (OTHER_CLASS, OTHER_IMAGE))
        require_positive(f"{method}: num_negatives", num_negatives)
        self.method = method
        self.kind = kind
        self.num_negatives = num_negatives
        # Not saved: `start` computes them again.
        for name in ("indices", "row_of_index", "class_start", "class_size"):
            self.register_buffer(name, None, persistent=False)

    def start(self, training: TrainingData, device: torch.device) -> None:
        """Sorts the images by label. Raises LossError if some of them have no negatives."""
        labels, order = training.labels.cpu().sort(stable=True)
        num_images = len(labels)
        _, class_of_row, sizes = labels.unique_consecutive(return_inverse=True, return_counts=True)
        if num_images < 2:
            raise LossError(
                f"{self.method}: {num_images} training images, so none has a negative;"
                " train on more images"
            )
        if self.kind == OTHER_CLASS and len(sizes) < 2:
            raise LossError(
                f"{self.method}: all {num_images} training images are of one class, so none has a"
                f" negative of another; set negatives to {OTHER_IMAGE}"
            )
        self.indices = training.rows.to(device)
        self.row_of_index = order.argsort().to(device)
        self.class_start = (sizes.cumsum(0) - sizes)[class_of_row].to(device)
        self.class_size = sizes[class_of_row].to(device)

    def rows_of(self, indices: Tensor) -> Tensor:
        """Rows [B] in the bank of training images, given as rows [B] of the data set."""
        return self.row_of_index[torch.searchsorted(self.indices, indices)]

    def draw(self, rows: Tensor, seed: int) -> Tensor:
        """For each of the rows [B] the rows [B, num_negatives] of its negatives.

        Each allowed row is equally likely, and may be drawn again.
        """
        if self.kind == OTHER_CLASS:
            start, size = self.class_start[rows, None], self.class_size[rows, None]
        else:
            start, size = rows[:, None], torch.ones_like(rows)[:, None]
        # On the device itself: a million numbers are not worth sending there.
        generator = torch.Generator(rows.device).manual_seed(seed)
        drawn = torch.randint(
            2**RESOLUTION_BITS,
            (len(rows), self.num_negatives),
            generator=generator,
            device=rows.device,
        )
        # One of as many as there are outside the block; those behind it are moved past it.
        drawn.mul_(len(self.indices) - size).bitwise_right_shift_(RESOLUTION_BITS)
        return drawn.add_((drawn >= start) * size)
