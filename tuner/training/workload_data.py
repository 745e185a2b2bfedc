"""Opens the data of a workload: data set, splits, views."""

from pathlib import Path

from tuner.config.workload import Workload
from tuner.data import Dataset, Splits, Views, open_dataset, split
from tuner.text.errors import RequestError


def open_data(workload: Workload) -> tuple[Dataset, Splits]:
    """Opens the data and splits it. Raises RequestError if batch or crop do not fit the data."""
    dataset = open_dataset(workload.data, Path(workload.data_dir), image_size=workload.image_size)
    splits = split(
        dataset,
        validation_fraction=workload.validation_fraction,
        seed=workload.seed,
        limit=workload.limit,
    )
    if workload.batch_size > len(splits.train):
        raise RequestError(
            f"batch_size is {workload.batch_size} but there are {len(splits.train)} training "
            "images; lower it with --batch-size"
        )
    if workload.crop_padding >= min(dataset.image_size):
        raise RequestError(
            f"crop_padding is {workload.crop_padding} but the images have "
            f"{min(dataset.image_size)} pixels; lower it with --crop-padding"
        )
    return dataset, splits


def views_of(workload: Workload, dataset: Dataset, splits: Splits, seed: int) -> Views:
    """The views of the training images in every training with this data seed."""
    return Views(dataset, splits.train, seed, workload.passes, workload.crop_padding, workload.flip)
