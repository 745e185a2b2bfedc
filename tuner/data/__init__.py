"""Data sets: memory-mapped Arrow files, their splits, and augmented batches."""

from tuner.data.arrow_file import read_dataset
from tuner.data.dataset import Dataset
from tuner.data.encoded_image import UnreadableImageError
from tuner.data.image_files import ImageFiles
from tuner.data.opening import open_dataset
from tuner.data.sources import FOLDER_SOURCES, NAMED_SOURCES
from tuner.data.splits import Splits, split
from tuner.data.views import Views, epoch_order, evaluation_batches, num_batches

__all__ = [
    "FOLDER_SOURCES",
    "NAMED_SOURCES",
    "Dataset",
    "ImageFiles",
    "Splits",
    "UnreadableImageError",
    "Views",
    "epoch_order",
    "evaluation_batches",
    "num_batches",
    "open_dataset",
    "read_dataset",
    "split",
]
