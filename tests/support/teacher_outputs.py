"""A teacher on 300 digits whose passes are counted, and its outputs read epoch by epoch."""

import time
from pathlib import Path

import torch
from torch import Tensor

from tests.support.trainings import CPU, NETWORK, Data
from tuner.data import Views
from tuner.teacher_cache import OutputsPlan, Teacher
from tuner.teacher_cache.plan import CachedOutput
from tuner.training.teachers import build_teacher

NAMES = ("logits", "embedding", "attention_maps.stage2", "feature_maps.stage1")
NUM_IMAGES, BATCH_SIZE = 300, 64
SHARED = OutputsPlan(shared=NAMES, buffer_bytes=2**30, look_ahead=3)


def cached(precision="float32") -> OutputsPlan:
    return OutputsPlan(tuple(CachedOutput(name, 100, 100) for name in NAMES), (), precision)


class Counting:
    """A network that writes down how many images it has seen, also for other processes."""

    def __init__(self, network, path: Path, seconds: float = 0.0) -> None:
        self.network, self.path, self.seconds = network, path, seconds
        path.touch()

    def to(self, *args, **kwargs):
        return self

    def __call__(self, images):
        time.sleep(self.seconds)
        with self.path.open("a") as file:
            file.write(f"{len(images)}\n")
        return self.network(images)

    @property
    def num_images(self) -> int:
        return sum(map(int, self.path.read_text().split()))


def make_teacher(data: Data, network, folder: Path, plan: OutputsPlan, digest="d") -> Teacher:
    return build_teacher(
        NETWORK, lambda: network, data[0], CPU, digest=digest, plan=plan, data_dir=str(folder)
    )


def views_of(data: Data, num_augmented_epochs=100, seed=0) -> Views:
    return Views(data[0], data[1].train, seed, num_augmented_epochs, 1, False)


def read_epoch(teacher: Teacher, views: Views, epoch=1, batch_size=BATCH_SIZE) -> dict[str, Tensor]:
    """Everything that a training would read, one tensor for the whole epoch by name."""
    read = []
    with teacher.open(NAMES, views, epoch, batch_size) as outputs:
        start = 0
        for batch in views.batches(epoch, batch_size, CPU):
            read.append(outputs.read(start, batch.images))
            start += len(batch.images)
    return {
        "logits": torch.cat([r.logits for r in read]),
        "embedding": torch.cat([r.embedding for r in read]),
        "attention": torch.cat([r.attention_maps["stage2"] for r in read]),
        "map": torch.cat([r.feature_maps["stage1"] for r in read]),
    }


def assert_equal(ours: dict[str, Tensor], theirs: dict[str, Tensor], **tolerance) -> None:
    for name in theirs:
        torch.testing.assert_close(
            ours[name], theirs[name], **(tolerance or {"rtol": 0, "atol": 0})
        )


def shards_in(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.arrow"))
