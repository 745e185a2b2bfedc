"""Benchmark `loader`: ImageNet's streamed views, against decoding alone and torchvision's way."""

import argparse
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import numpy as np
import torch

from benchmarks.timing import Row, compare_all, measure
from tuner.data import Dataset, ImageFiles, Views, open_dataset
from tuner.data.encoded_image import decoded

ROUNDS = 5
NUM_IMAGES = 512
BATCH_SIZE = 64
HEIGHT, WIDTH, TILE = 375, 500, 125  # the commonest size, made of twelve photographs
QUALITY = 90
CPU = torch.device("cpu")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What only this benchmark takes."""
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"default: {ROUNDS}")
    parser.add_argument("--image-size", type=int, default=224, help="default: 224")


def run(arguments: argparse.Namespace) -> Iterator[list[Row]]:
    """Seconds an image, each with as many threads or processes as --threads says."""
    with tempfile.TemporaryDirectory() as folder:
        _write_images(Path(folder), open_dataset(arguments.data, Path(arguments.data_dir)))
        dataset = open_dataset(
            f"imagenet:{folder}", Path(folder, "cache"), image_size=arguments.image_size
        )
        views = Views(dataset, np.arange(dataset.num_train), 0, 100, padding=0, flip=True)
        candidates = {
            "decode": lambda: _decode(dataset, arguments.threads),
            "loader": lambda: [None for _ in views.batches(1, BATCH_SIZE, CPU)],
            "torchvision": lambda: _torchvision(Path(folder), dataset, arguments.threads),
        }
        measured = {
            name: [seconds / dataset.num_train for seconds in values]
            for name, values in measure(candidates, rounds=arguments.rounds).items()
        }
    labels = {"size": str(arguments.image_size), "threads": str(arguments.threads)}
    yield compare_all(measured, "decode", labels)


def _write_images(folder: Path, source: Dataset) -> None:
    """JPEGs in ImageNet's layout, mosaics of the data's images with noise as a sensor has it."""
    from PIL import Image

    generator = np.random.default_rng(0)
    num_tiles = (HEIGHT // TILE) * (WIDTH // TILE)
    for number in range(NUM_IMAGES + 1):
        canvas = Image.new("RGB", (WIDTH, HEIGHT))
        rows = (number * num_tiles + np.arange(num_tiles)) % source.num_train
        for place, pixels in enumerate(source.images[rows].transpose(0, 2, 3, 1)):
            tile = Image.fromarray(pixels).resize((TILE, TILE), Image.Resampling.BICUBIC)
            canvas.paste(tile, (place % 4 * TILE, place // 4 * TILE))
        noisy = np.asarray(canvas) + generator.normal(0, 6, (HEIGHT, WIDTH, 1))
        part = folder / ("train" if number < NUM_IMAGES else "val") / "n00000001"
        part.mkdir(parents=True, exist_ok=True)
        image = Image.fromarray(noisy.clip(0, 255).astype(np.uint8))
        image.save(part / f"{number}.JPEG", quality=QUALITY)


def _decode(dataset: Dataset, num_threads: int) -> None:
    """The floor: every file read and decoded, nothing else."""
    assert isinstance(dataset.images, ImageFiles)
    paths = [
        dataset.images.folder / path.as_py() for path in dataset.images.paths[: dataset.num_train]
    ]
    with ThreadPoolExecutor(num_threads) as pool:
        list(pool.map(lambda path: decoded(str(path), BytesIO(path.read_bytes())), paths))


def _torchvision(folder: Path, dataset: Dataset, num_workers: int) -> None:
    """The usual script: ImageFolder, its transforms, and a DataLoader with worker processes."""
    from torchvision import datasets, transforms

    transform = transforms.Compose(
        [
            transforms.RandomResizedCrop(dataset.image_size),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize(dataset.mean, dataset.std),
        ]
    )
    loader = torch.utils.data.DataLoader(
        datasets.ImageFolder(str(folder / "train"), transform),
        BATCH_SIZE,
        shuffle=True,
        num_workers=num_workers,
    )
    for _ in loader:
        pass
