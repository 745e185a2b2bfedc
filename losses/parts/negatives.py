"""Draws negatives: for each image of a batch, random other training images.

Source: the CRD framework (arXiv:1910.10699), which draws from the other classes with
replacement; MIMKD's CRD baseline (arXiv:2110.15946) draws from all other images.
"""

import torch
from torch import Tensor, nn

from losses.batch import TrainingData
from losses.loss import LossError, require_choice, require_positive

OTHER_CLASS, OTHER_IMAGE = "other_class", "other_image"
# Random integers below 2**40 are scaled down to a range: draws are uniform to one part in
# 2**40 / N, and 2**40 N fits into int64 for data sets of up to 8 million images.
RESOLUTION_BITS = 40


class Negatives(nn.Module):
    """Numbers the training images as rows 0 to N - 1 of a bank, and draws from them.

    Rows are sorted by label, so each class is a block of rows. `method` is named in errors.
    """

    indices: Tensor  # [N], ascending: the images' rows in the data set
    row_of_index: Tensor  # [N]: their rows in the bank
    class_start: Tensor  # [N]: for each row of the bank, the first row of its class
    class_size: Tensor  # [N]: for each row of the bank, the size of its class

    def __init__(self, method: str, kind: str, num_negatives: int) -> None:
        super().__init__()
        require_choice(f"{method}: negatives", kind, (OTHER_CLASS, OTHER_IMAGE))
        require_positive(f"{method}: num_negatives", num_negatives)
        self.method = method
        self.kind = kind
        self.num_negatives = num_negatives
        # Not saved, because `start` computes them again.
        for name in ("indices", "row_of_index", "class_start", "class_size"):
            self.register_buffer(name, None, persistent=False)

    def start(self, training: TrainingData, device: torch.device) -> None:
        """Sorts the images by label. Raises LossError if some images have no negatives."""
        labels, order = training.labels.cpu().sort(stable=True)
        num_images = len(labels)
        _, class_of_row, sizes = labels.unique_consecutive(return_inverse=True, return_counts=True)
        if num_images < 2:
            raise LossError(
                f"{self.method}: with {num_images} training images none has a negative;"
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
        """The rows [B] in the bank of the training images at rows [B] of the data set."""
        return self.row_of_index[torch.searchsorted(self.indices, indices)]

    def draw(self, rows: Tensor, seed: int) -> Tensor:
        """The negatives' rows [B, num_negatives] for the rows [B].

        All allowed rows are equally likely and may be drawn repeatedly.
        """
        if self.kind == OTHER_CLASS:
            start, size = self.class_start[rows, None], self.class_size[rows, None]
        else:
            start, size = rows[:, None], torch.ones_like(rows)[:, None]
        # Drawn on the device, to avoid copying a million numbers there.
        generator = torch.Generator(rows.device).manual_seed(seed)
        drawn = torch.randint(
            2**RESOLUTION_BITS,
            (len(rows), self.num_negatives),
            generator=generator,
            device=rows.device,
        )
        # A number among the rows outside the block; those from `start` on are moved behind it.
        drawn.mul_(len(self.indices) - size).bitwise_right_shift_(RESOLUTION_BITS)
        return drawn.add_((drawn >= start) * size)
