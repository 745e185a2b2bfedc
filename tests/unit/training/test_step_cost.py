"""Costs: what a method adds is counted, a step is measured, the largest batch bisected."""

from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool

import numpy as np
import pytest
import torch

from losses import LOSSES, LossError, TrainingData, build_objective
from models import build_untrained, shapes_of
from search_spaces import SPACES
from tuner.config.workload import Workload, resolve
from tuner.data.synthetic import noise_dataset
from tuner.data.views import Pixels
from tuner.text.errors import RequestError
from tuner.training import step_cost, step_measurement
from tuner.training.step_cost import added_parameters, find_largest, largest_batch, measure_cost
from tuner.training.step_measurement import (
    Added,
    Cost,
    Sizes,
    TooLargeError,
    added_by,
    measure_step,
)

IMAGENET = {"num_images": 1_281_167, "num_classes": 1000}
SMALL = {"num_images": 512, "num_classes": 10}


def workload(teacher="resnet20", student="resnet8", image_size=32) -> Workload:
    # The data is never opened: there is no such folder.
    given = {"data": "parquet:nowhere", "data_dir": "nowhere", "seed": 0, "precision": "float32"}
    return resolve(given | {"teacher": teacher, "student": student, "image_size": image_size})


def published(method, **pins):
    return {} if method == "plain" else SPACES[method].narrow(pins).published()


# Noise


def test_noise_takes_memory_for_a_few_images_whatever_their_number():
    dataset = noise_dataset(1_000_000, 1000, (224, 224))
    assert dataset.images.shape == (1_000_000, 3, 224, 224)
    assert dataset.images.base is not None
    assert not (dataset.images[7] == dataset.images[8]).all()
    assert dataset.images[-1].std() == pytest.approx(74, abs=2)
    np.testing.assert_array_equal(dataset.labels[998:1002], [998, 999, 0, 1])
    with pytest.raises(ValueError, match="read-only"):
        dataset.images[0, 0, 0, 0] = 1


def test_noise_is_not_looked_for_in_a_file_by_another_device_than_the_cpu():
    assert Pixels(noise_dataset(4, 2, (8, 8)), torch.device("meta"))._resident is None


# What a method adds


def test_itrd_adds_what_its_paper_says():
    pair = workload("ResNet34", "ResNet18")
    added = added_parameters(pair, "itrd", published("itrd"), **IMAGENET)
    assert added == Added(num_parameters=262_656, buffer_bytes=0)


@pytest.mark.parametrize("method", ["crd", "wcord"])
def test_the_banks_of_imagenet_are_counted_without_being_made(method):
    added = added_parameters(workload(), method, published(method), **IMAGENET)
    banks = 2 * 1_281_167 * 128 * 4
    assert banks <= added.buffer_bytes < 1.00001 * banks


@pytest.mark.parametrize("method", LOSSES)
def test_counted_is_what_is_made(method):
    setting = published(method)
    student, teacher = (
        shapes_of(build_untrained(name, 10), (32, 32), name) for name in ("resnet8", "resnet20")
    )
    objective = build_objective(LOSSES[method], student, teacher, setting)
    rows = torch.arange(512)
    objective.start(TrainingData(rows, rows % 10, 4))
    state = torch.get_rng_state()
    assert added_parameters(workload(), method, setting, **SMALL) == added_by(objective)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_setting_that_does_not_fit_is_refused_as_a_search_would():
    with pytest.raises(LossError, match="crd: num_negatives is 0"):
        added_parameters(workload(), "crd", published("crd") | {"num_negatives": 0}, **SMALL)


# The largest batch


def scripted(peak, limit=None):
    """A machine of `limit` bytes where `peak(batch_size)` are needed, and the sizes it is asked."""

    def measure(batch_size):
        asked.append(batch_size)
        if limit and peak(batch_size) > limit:
            raise TooLargeError("too large")
        return Cost(0, 0, batch_size, 1.0, int(peak(batch_size)))

    asked: list[int] = []
    return measure, asked


def linear(batch_size):
    return 1000 + 100 * batch_size


@pytest.mark.parametrize("power", [0.8, 1.0, 1.2, 2.0])
@pytest.mark.parametrize("cap", [3_000, 7_000, 60_000, 900_000])
def test_the_largest_batch_is_found_by_doubling_and_bisection(power, cap):
    def peak(batch_size):
        return int(1000 + 20 * batch_size**power)

    measure, asked = scripted(peak)
    found = find_largest(measure, cap, 4096)
    assert found.batch_size == max(b for b in range(8, 4097, 8) if peak(b) <= cap)
    assert len(asked) == len(set(asked)) <= 18
    # Large batches are slow: never more than twice what was seen to fit.
    assert max(asked) <= 2 * found.batch_size


def test_a_cap_above_what_the_machine_has_ends_below_it():
    measure, _ = scripted(linear, limit=50_000)
    assert find_largest(measure, 10**9, 4096).batch_size == 488


@pytest.mark.parametrize(("most", "largest"), [(8, 8), (1144, 1144), (1150, 1144)])
def test_the_number_of_images_bounds_the_batch(most, largest):
    measure, _ = scripted(lambda batch_size: batch_size)
    assert find_largest(measure, 10**9, most).batch_size == largest


def test_nothing_fits_under_a_cap_that_is_too_low(monkeypatch):
    measure, asked = scripted(linear)
    assert find_largest(measure, 1500, 4096) is None
    assert asked == [8]
    monkeypatch.setattr(step_cost, "measure_cost", lambda *a, batch_size, **k: measure(batch_size))
    with pytest.raises(
        RequestError, match=r"kd: a step of 8 images does not fit into 0.00 GB; raise"
    ):
        largest_batch(workload(), "kd", published("kd"), 1500, **SMALL)


# A measurement


def test_a_step_is_measured_with_what_the_method_adds():
    cost = measure_step(
        workload(image_size=8),
        "itrd",
        published("itrd"),
        batch_size=8,
        num_steps=3,
        sizes=Sizes(64, 10, (8, 8)),
        num_threads=1,
    )
    assert cost.batch_size == 8
    assert 0 < cost.step_seconds < 10
    assert cost.images_per_second == 8 / cost.step_seconds
    assert cost.peak_bytes >= 0
    assert cost.num_parameters > 0
    assert cost.buffer_bytes == 0


def no_memory_for_a_tensor(*_):
    torch.empty(10**16)


def no_memory_for_an_array(*_):
    np.empty(10**16)


def broken(*_):
    raise KeyError("stage9")


def refused(*_):
    raise LossError("crd: two\nlines")


@pytest.mark.parametrize(
    ("fails", "error", "text"),
    [
        (no_memory_for_a_tensor, TooLargeError, "DefaultCPUAllocator"),
        (no_memory_for_an_array, TooLargeError, "MemoryError: Unable to allocate"),
        (broken, RequestError, "^KeyError: 'stage9'$"),
        (refused, RequestError, "^crd: two lines$"),
    ],
)
def test_a_lack_of_memory_is_told_from_other_errors(monkeypatch, fails, error, text):
    monkeypatch.setattr(step_measurement, "_measure", fails)
    sizes = Sizes(64, 10, (8, 8))
    with pytest.raises(error, match=text) as raised:
        measure_step(workload(), "kd", {}, batch_size=8, num_steps=1, sizes=sizes, num_threads=1)
    assert type(raised.value) is error


# What is refused


def measure_kd(batch_size=32):
    return measure_cost(workload(), "kd", published("kd"), batch_size=batch_size, **SMALL)


def test_a_batch_larger_than_the_data_is_refused():
    with pytest.raises(RequestError, match="batch size is 1024; it must lie between 2 and 512"):
        measure_kd(batch_size=1024)


def test_an_unknown_method_is_refused():
    with pytest.raises(
        RequestError, match="unknown method 'itdr'; did you mean 'itrd'\\? known: ab"
    ):
        measure_cost(workload(), "itdr", {}, batch_size=8, **SMALL)


class FailingProcess:
    """Stands in for a fresh process whose measurement raises `error`."""

    error: Exception

    def __init__(self, **_):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return False

    def submit(self, *_, **__):
        future = Future()
        future.set_exception(self.error)
        return future


@pytest.mark.parametrize(
    ("raised", "error", "text"),
    [
        (TooLargeError("no room"), TooLargeError, ": no room; give a smaller batch size$"),
        (RequestError("no"), RequestError, "kd with 32 images per step: no$"),
        (BrokenProcessPool(), TooLargeError, "its process was killed; give a smaller batch size$"),
    ],
)
def test_what_a_process_refuses_arrives_in_one_sentence(monkeypatch, raised, error, text):
    monkeypatch.setattr(FailingProcess, "error", raised, raising=False)
    monkeypatch.setattr(step_cost, "ProcessPoolExecutor", FailingProcess)
    with pytest.raises(error, match=text):
        measure_kd()
