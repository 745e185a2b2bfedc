"""scikit-learn's handwritten digits: 1,797 images of 8 x 8 pixels, nothing to download."""

import numpy as np

from tuner.data.sources.decoding import resize_images
from tuner.data.sources.raw_data import RawData
from tuner.data.stratification import stratified_order

_TEST_FRACTION = 1 / 5
_TEST_STREAM = 0x7E57  # which fifth; the data set has no official test set


class Digits:
    """A fixed stratified fifth is the test set; the grey channel is repeated three times."""

    spec = name = "digits"

    def files(self) -> list[tuple[str, int, int]]:
        """Nothing: the images are part of scikit-learn."""
        return []

    def load(self, image_size: int | None) -> RawData:
        """Reads all images."""
        from sklearn.datasets import load_digits  # takes a second to import

        digits = load_digits()
        labels = digits.target.astype(np.int64)
        # The originals range from 0 to 16.
        grey = np.rint(digits.images * (255 / 16)).astype(np.uint8)
        images = np.repeat(grey[:, None], 3, axis=1)

        order = stratified_order(np.arange(len(labels)), labels, _TEST_STREAM)
        num_test = round(len(labels) * _TEST_FRACTION)
        rows = np.concatenate([np.sort(order[num_test:]), np.sort(order[:num_test])])
        return RawData(
            images=resize_images(images[rows], image_size),
            labels=labels[rows],
            num_train=len(rows) - num_test,
            class_names=tuple(str(name) for name in digits.target_names),
        )
