"""The teacher's outputs: the same by every road, computed once, never torn, never waited for."""

import errno
import os
import random
import signal
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

import models
from tests.support.trainings import make_training, run_to_the_end
from tuner.data import Views, open_dataset, split
from tuner.teacher_cache import OutputsPlan, stored_pass, teacher
from tuner.teacher_cache.piece import DamagedPieceError, read_piece
from tuner.teacher_cache.plan import CachedOutput
from tuner.teacher_cache.sizes import bytes_per_image, cached_piece_rows
from tuner.training.distillation import Distillation
from tuner.training.seeding import frozen, seeded
from tuner.training.teachers import build_teacher, weights_digest

CPU = torch.device("cpu")
NAMES = ("logits", "embedding", "attention_maps.stage2", "feature_maps.stage1")
NUM_IMAGES, BATCH_SIZE = 300, 64


@pytest.fixture(scope="module")
def data(data_dir):
    dataset = open_dataset("digits", Path(data_dir))
    return dataset, split(dataset, validation_fraction=0.2, seed=0, limit=NUM_IMAGES)


@pytest.fixture(scope="module")
def network():
    return frozen(seeded(100, lambda: models.build("resnet8", 10)))


@pytest.fixture(autouse=True)
def window(tmp_path, monkeypatch):
    """A window of this test's own."""
    folder = tmp_path / "window"
    monkeypatch.setattr(teacher, "window_folder", lambda: folder)
    return folder


def cached(precision="float32", passes=100) -> OutputsPlan:
    return OutputsPlan(tuple(CachedOutput(name, passes, passes) for name in NAMES), (), precision)


SHARED = OutputsPlan(shared=NAMES, window_bytes=2**30, look_ahead=3)


class Counting:
    """A network that writes down how many images it has seen, for other processes to read."""

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


def make_teacher(data, network, folder: Path, plan: OutputsPlan, digest="d"):
    return build_teacher(
        "resnet8", lambda: network, data[0], CPU, digest=digest, plan=plan, data_dir=str(folder)
    )


def views_of(data, num_passes=100, seed=0) -> Views:
    return Views(data[0], data[1].train, seed, num_passes, 1, False)


def read_epoch(source, views, epoch=1, names=NAMES, batch_size=BATCH_SIZE):
    """Everything that a training would be told, by name: one tensor for the whole epoch."""
    read = []
    with source.open(names, views, epoch, batch_size) as answers:
        start = 0
        for batch in views.batches(epoch, batch_size, CPU):
            read.append(answers.read(start, batch.images))
            start += len(batch.images)
    return {
        "logits": torch.cat([r.logits for r in read]),
        "embedding": torch.cat([r.embedding for r in read]),
        "attention": torch.cat([r.attention_maps["stage2"] for r in read]),
        "map": torch.cat([r.feature_maps["stage1"] for r in read]),
    }


def assert_equal(ours, theirs, **tolerance):
    for name in theirs:
        torch.testing.assert_close(
            ours[name], theirs[name], **(tolerance or {"rtol": 0, "atol": 0})
        )


@contextmanager
def forked(work):
    """A process that does `work`, as a trial beside this one would."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        finally:
            os._exit(0)
    try:
        yield pid
    finally:
        os.waitpid(pid, 0)


# The roads give the same.


@pytest.mark.parametrize("plan", [cached(), SHARED], ids=["cached", "shared"])
def test_by_every_road_the_answers_have_the_bits_of_a_live_teacher(data, network, tmp_path, plan):
    views = views_of(data)
    live = read_epoch(make_teacher(data, network, tmp_path, OutputsPlan()), views)
    source = make_teacher(data, network, tmp_path, plan)
    assert_equal(read_epoch(source, views), live)
    assert_equal(read_epoch(source, views), live)  # now read, not computed
    assert live["logits"].shape == (NUM_IMAGES, 10)


def test_half_precision_rounds_and_nothing_else(data, network, tmp_path):
    views = views_of(data)
    live = read_epoch(make_teacher(data, network, tmp_path, OutputsPlan()), views)
    kept = read_epoch(make_teacher(data, network, tmp_path, cached("float16")), views)
    assert_equal(kept, {name: values.half().float() for name, values in live.items()})


def test_what_half_precision_cannot_hold_is_its_largest_number(data, network, tmp_path):
    huge = frozen(seeded(100, lambda: models.build("resnet8", 10)))
    huge.fc.weight.mul_(1e8)
    read = read_epoch(make_teacher(data, huge, tmp_path, cached("float16")), views_of(data))
    assert read["logits"].isfinite().all()
    assert read["logits"].abs().max() == torch.finfo(torch.float16).max


@pytest.mark.parametrize("batch_size", [7, 32, 64, 299, 300])
def test_any_batch_size_reads_the_same(data, network, tmp_path, batch_size):
    views = views_of(data)
    first = read_epoch(make_teacher(data, network, tmp_path, cached()), views)
    other = make_teacher(data, network, tmp_path, cached())
    assert_equal(read_epoch(other, views, batch_size=batch_size), first)


def test_a_pass_that_comes_again_is_read_in_the_new_order(data, network, tmp_path):
    views = views_of(data, num_passes=2)
    live = make_teacher(data, network, tmp_path, OutputsPlan())
    counting = Counting(network, tmp_path / "count")
    source = make_teacher(data, counting, tmp_path, cached())
    for epoch in (1, 2, 3, 4):
        ours, theirs = read_epoch(source, views, epoch), read_epoch(live, views, epoch)
        # Batches are composed anew, and their sums round elsewhere.
        assert_equal(ours, theirs, rtol=1e-4, atol=1e-5)
    assert counting.num_images == 2 * NUM_IMAGES


@pytest.mark.parametrize(
    ("precision", "tolerance"), [("float32", 1e-5), ("float16", 5e-3)], ids=str
)
@pytest.mark.parametrize("method", ["itrd", "mimkd"])
def test_losses_with_the_cache_are_those_with_a_live_teacher(
    data, network, tmp_path, method, precision, tolerance
):
    pins = {"width": "4", "num_locations": "2"} if method == "mimkd" else {}
    histories = []
    for plan in (OutputsPlan(), all_cached(precision)):
        source = make_teacher(data, network, tmp_path, plan)
        training = train(data, method, pins=pins, teacher=source, epochs=1, passes=1, lr=0.01)
        histories.append(training.history[0])
    live, kept = ({k: v for k, v in h.items() if k.startswith("train_")} for h in histories)
    assert kept == pytest.approx(live, rel=tolerance)
    if precision == "float16":
        assert kept != live  # it was the cache that was read


@pytest.mark.slow
def test_half_precision_changes_accuracies_no_more_than_seeds_do(data, tmp_path, capsys):
    dataset = data[0]
    splits = split(dataset, validation_fraction=0.2, seed=0)
    taught = train((dataset, splits), "plain", student="resnet20", epochs=8)
    differences, live_ones = [], []
    for seed in range(5):
        accuracies = [
            train(
                (dataset, splits),
                "itrd",
                teacher=build_teacher(
                    "resnet20",
                    lambda: frozen(taught.student),
                    dataset,
                    CPU,
                    plan=plan,
                    data_dir=str(tmp_path),
                ),
                epochs=4,
                lr_decay_epochs=(2, 3),  # else accuracies jump by points from epoch to epoch
                seed=seed,
                data_seed=seed,
            ).history[-1]["val_accuracy"]
            for plan in (OutputsPlan(), all_cached("float16"))
        ]
        live_ones.append(accuracies[0])
        differences.append(accuracies[1] - accuracies[0])
    with capsys.disabled():
        print(f"\nfloat16 - live, points of validation accuracy: {np.round(differences, 2)}")  # noqa: T201
    # Twice the standard error of the mean difference, or of one image where all are equal.
    error = max(np.std(differences, ddof=1), 100 / len(splits.validation)) / np.sqrt(5)
    assert abs(np.mean(differences)) < 2.8 * error  # Student's t, 4 degrees of freedom
    assert abs(np.mean(differences)) < np.std(live_ones, ddof=1) + 100 / len(splits.validation)


def train(data, method, **changes) -> Distillation:
    options = {"lr_decay_epochs": (), "flip": False, "passes": 100} | changes
    return run_to_the_end(make_training(data, method, **options))


def all_cached(precision) -> OutputsPlan:
    maps = [f"feature_maps.{name}" for name in ("stem", "stage1", "stage2", "stage3")]
    names = ("logits", "embedding", *maps)
    return OutputsPlan(tuple(CachedOutput(name, 9, 9) for name in names), (), precision)


# Computed once.


def test_later_trials_and_searches_start_warm(data, network, tmp_path):
    counting = Counting(network, tmp_path / "count")
    for _ in range(3):
        read_epoch(make_teacher(data, counting, tmp_path, cached()), views_of(data))
    assert counting.num_images == NUM_IMAGES


@pytest.mark.parametrize(
    "change", [{"digest": "e"}, {"seed": 1}, {"precision": "float16"}, {"epoch": 2}], ids=str
)
def test_what_determines_an_output_is_its_address(data, network, tmp_path, change):
    counting = Counting(network, tmp_path / "count")
    read_epoch(make_teacher(data, counting, tmp_path, cached()), views_of(data))
    source = make_teacher(
        data,
        counting,
        tmp_path,
        cached(change.get("precision", "float32")),
        change.get("digest", "d"),
    )
    read_epoch(source, views_of(data, seed=change.get("seed", 0)), change.get("epoch", 1))
    assert counting.num_images == 2 * NUM_IMAGES


def test_a_loss_that_needs_less_reads_what_is_there(data, network, tmp_path):
    counting = Counting(network, tmp_path / "count")
    read_epoch(make_teacher(data, counting, tmp_path, cached()), views_of(data))
    source = make_teacher(data, counting, tmp_path, cached())
    with source.open(("embedding",), views_of(data), 1, BATCH_SIZE) as answers:
        read = answers.read(0, views_of(data).images(views_of(data).order(1)[:5], 1, CPU))
    assert read.embedding.shape == (5, 64)
    assert read.logits.numel() == 0
    assert not read.feature_maps
    assert counting.num_images == NUM_IMAGES


@pytest.mark.parametrize("plan", [cached(), SHARED], ids=["cached", "shared"])
def test_trials_that_run_together_share_the_work(data, network, tmp_path, plan):
    counting = Counting(network, tmp_path / "count", seconds=0.02)
    expected = read_epoch(make_teacher(data, network, tmp_path, OutputsPlan()), views_of(data))

    def trial():
        read = read_epoch(make_teacher(data, counting, tmp_path, plan), views_of(data))
        assert_equal(read, expected)
        (tmp_path / f"whole-{os.getpid()}").touch()

    with forked(trial), forked(trial), forked(trial):
        pass
    assert len(list(tmp_path.glob("whole-*"))) == 3
    assert counting.num_images == NUM_IMAGES


def test_none_waits_while_pieces_are_left(data, network, tmp_path):
    """While a process holds one piece, another computes all others first."""
    views, source = views_of(data), make_teacher(data, network, tmp_path, cached())
    slow = make_teacher(data, Counting(network, tmp_path / "slow", seconds=0.7), tmp_path, cached())
    counting = Counting(network, tmp_path / "count")
    with forked(lambda: read_first(slow, views)):
        time.sleep(0.3)
        quick = make_teacher(data, counting, tmp_path, cached())
        read_epoch(quick, views)
    assert counting.num_images == NUM_IMAGES - BATCH_SIZE
    assert_equal(read_epoch(source, views), read_epoch(quick, views))


def read_first(source, views):
    with source.open(NAMES, views, 1, BATCH_SIZE) as answers:
        answers.read(0, views.images(views.order(1)[:BATCH_SIZE], 1, CPU))


@pytest.mark.parametrize("plan", [cached(), SHARED], ids=["cached", "shared"])
def test_a_process_that_hangs_holds_up_nobody(data, network, tmp_path, monkeypatch, plan):
    monkeypatch.setattr(stored_pass, "PATIENCE", 0.1)
    views = views_of(data)
    hanging = make_teacher(
        data, Counting(network, tmp_path / "hanging", seconds=600), tmp_path, plan
    )
    with forked(lambda: read_first(hanging, views)) as pid:
        time.sleep(0.3)
        read = read_epoch(make_teacher(data, network, tmp_path, plan), views)
        os.kill(pid, signal.SIGKILL)
    live = read_epoch(make_teacher(data, network, tmp_path, OutputsPlan()), views)
    assert_equal(read, live)


# The window.


def test_a_window_keeps_to_its_bytes_and_a_trial_behind_it_computes_again(
    data, network, tmp_path, window
):
    shapes = make_teacher(data, network, tmp_path, SHARED).shapes
    batch_bytes = bytes_per_image(shapes, NAMES, "float32") * BATCH_SIZE
    plan = OutputsPlan(shared=NAMES, window_bytes=int(2.5 * batch_bytes), look_ahead=1)
    counting = Counting(network, tmp_path / "count")
    expected = read_epoch(make_teacher(data, network, tmp_path, OutputsPlan()), views_of(data))
    for _ in range(2):
        assert_equal(
            read_epoch(make_teacher(data, counting, tmp_path, plan), views_of(data)), expected
        )
        kept = sum(path.stat().st_size for path in window.rglob("*.arrow"))
        assert 0 < kept < 3 * batch_bytes
    assert NUM_IMAGES < counting.num_images <= 2 * NUM_IMAGES


# Never torn, never wrong.


def pieces_in(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.arrow"))


def test_processes_killed_while_they_fill_leave_nothing_torn(data, network, tmp_path):
    views = views_of(data)
    draw = random.Random(0)
    for _ in range(20):
        slow = Counting(network, tmp_path / "count", seconds=0.005)
        source = make_teacher(data, slow, tmp_path, cached())

        def fill(source=source):
            for epoch in range(1, 100):
                read_epoch(source, views, epoch)

        with forked(fill) as one, forked(fill) as other:
            time.sleep(draw.uniform(0.02, 0.3))
            os.kill(one, signal.SIGKILL)
            time.sleep(draw.uniform(0.0, 0.1))
            os.kill(other, signal.SIGKILL)
        for path in pieces_in(tmp_path):
            assert read_piece(path).size
    assert pieces_in(tmp_path)
    live = make_teacher(data, network, tmp_path, OutputsPlan())
    source = make_teacher(data, network, tmp_path, cached())
    for epoch in (1, 2, 3):
        assert_equal(read_epoch(source, views, epoch), read_epoch(live, views, epoch))
    assert source.take_notes() == []


@pytest.mark.parametrize("place", ["begin", "middle", "end", "cut", "empty"])
def test_a_damaged_piece_is_noticed_computed_again_and_told(data, network, tmp_path, place):
    views = views_of(data)
    expected = read_epoch(make_teacher(data, network, tmp_path, cached()), views)
    path = next(path for path in pieces_in(tmp_path) if "feature_maps" in str(path))
    content = bytearray(path.read_bytes())
    if place == "cut":
        content = content[: len(content) // 2]
    elif place == "empty":
        content = bytearray()
    else:
        content[{"begin": 3, "middle": len(content) // 2, "end": -3}[place]] ^= 1
    path.write_bytes(content)
    counting = Counting(network, tmp_path / "count")
    source = make_teacher(data, counting, tmp_path, cached())
    assert_equal(read_epoch(source, views), expected)
    assert counting.num_images == BATCH_SIZE
    (note,) = source.take_notes()
    assert "damaged piece" in note
    assert source.take_notes() == []
    assert read_piece(path).size


def test_no_flipped_bit_of_a_piece_is_ever_read(data, network, tmp_path):
    read_epoch(make_teacher(data, network, tmp_path, cached()), views_of(data))
    path = next(path for path in pieces_in(tmp_path) if "logits" in str(path))
    values = read_piece(path).tobytes()
    content = path.read_bytes()
    for offset in random.Random(1).sample(range(len(content)), 200):
        damaged = bytearray(content)
        damaged[offset] ^= 1 << (offset % 8)
        path.write_bytes(damaged)
        with pytest.raises(DamagedPieceError, match="checksum"):
            read_piece(path)
    path.write_bytes(content)
    assert read_piece(path).tobytes() == values


def test_a_full_disk_makes_the_teacher_live_and_is_told(data, network, tmp_path, monkeypatch):
    views = views_of(data)
    expected = read_epoch(make_teacher(data, network, tmp_path / "roomy", cached("float16")), views)
    written = []

    def write(*args, **options):
        if len(written) >= 5:
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(args)
        return write_piece(*args, **options)

    from tuner.teacher_cache import store
    from tuner.teacher_cache.piece import write_piece

    monkeypatch.setattr(store, "write_piece", write)
    source = make_teacher(data, network, tmp_path / "full", cached("float16"))
    assert_equal(read_epoch(source, views), expected)
    (note,) = source.take_notes()
    assert "No space left on device" in note
    assert "live" in note


def test_a_folder_that_cannot_be_made_makes_the_teacher_live(data, network, tmp_path):
    (tmp_path / "teacher-outputs").write_text("a file")
    source = make_teacher(data, network, tmp_path, cached())
    live = make_teacher(data, network, tmp_path, OutputsPlan())
    assert_equal(read_epoch(source, views_of(data)), read_epoch(live, views_of(data)))
    (note,) = source.take_notes()
    assert "cannot be kept" in note


# Addresses and sizes.


def test_a_digest_is_of_the_weights(network):
    other = frozen(seeded(100, lambda: models.build("resnet8", 10)))
    assert weights_digest(other) == weights_digest(network)
    assert weights_digest(other.to(memory_format=torch.channels_last)) == weights_digest(network)
    other.fc.bias[0] += 1e-6
    assert weights_digest(other) != weights_digest(network)


@pytest.mark.parametrize(
    ("names", "num_images", "rows"),
    [
        (("logits",), 40, 64),
        (("embedding",), 45_000, 1344),
        (("embedding",), 1_281_167, 4096),
        (("feature_maps.stage1",), 45_000, 1344),
    ],
)
def test_pieces_are_whole_batches_and_small_enough_to_share(
    data, network, tmp_path, names, num_images, rows
):
    shapes = make_teacher(data, network, tmp_path, cached()).shapes
    assert cached_piece_rows(shapes, names, "float16", num_images) == rows
    assert rows % 64 == 0


def test_large_maps_come_in_small_pieces():
    shapes = models.Shapes((100,), (2048,), {"stage1": (256, 32, 32)})
    rows = cached_piece_rows(shapes, ("feature_maps.stage1",), "float16", 45_000)
    assert rows == 64
    assert bytes_per_image(shapes, ("feature_maps.stage1",), "float16") * rows <= 64 * 2**20
    assert cached_piece_rows(shapes, ("feature_maps.stage1", "logits"), "float16", 45_000) == rows
    small = [
        cached_piece_rows(shapes, (name,), "float16", 45_000) for name in ("logits", "embedding")
    ]
    assert small == [1344, 1344]
