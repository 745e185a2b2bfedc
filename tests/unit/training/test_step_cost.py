"""What a step costs: counted statically, measured in a process of its own, searched under a cap."""

import io
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from losses import LOSSES, LossError, TrainingData, build_objective
from models import build_untrained, shapes_of
from search_spaces import SPACES
from tuner.config.workload import resolve
from tuner.data.synthetic import noise_dataset
from tuner.data.views import Pixels
from tuner.text.errors import RequestError
from tuner.training import step_cost as cost
from tuner.training import step_cost_process as cost_process
from tuner.training.step_cost import (
    Added,
    Cost,
    TooLargeError,
    added_by,
    added_parameters,
    find_largest,
    largest_batch,
    measure_cost,
)

IMAGENET = {"num_images": 1_281_167, "num_classes": 1000}
SMALL = {"num_images": 512, "num_classes": 10}


def workload(teacher="resnet20", student="resnet8", image_size=32):
    # The data is never opened: there is no such folder.
    given = {"data": "parquet:nowhere", "data_dir": "nowhere", "seed": 0, "precision": "float32"}
    return resolve(given | {"teacher": teacher, "student": student, "image_size": image_size})


def published(method, **pins):
    if method == "plain":
        return {}
    return SPACES[method].narrow(pins).published()


def measured(method, batch_size=32, num_images=512, **pins):
    return measure_cost(
        workload(),
        method,
        published(method, **pins),
        batch_size=batch_size,
        num_steps=3,
        num_images=num_images,
        num_classes=10,
    )


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
    pair = workload("ResNet34", "ResNet18")
    added = added_parameters(pair, method, published(method), **IMAGENET)
    banks = 2 * 1_281_167 * 128 * 4
    assert banks <= added.buffer_bytes < 1.00001 * banks


@pytest.mark.parametrize("method", LOSSES)
def test_counted_is_what_is_made(method):
    setting = published(method)
    shapes = [
        shapes_of(build_untrained(name, 10), (32, 32), name) for name in ("resnet8", "resnet20")
    ]
    objective = build_objective(LOSSES[method], *shapes, setting)
    rows = torch.arange(512)
    objective.start(TrainingData(rows, rows % 10, 4))
    state = torch.get_rng_state()
    assert added_parameters(workload(), method, setting, **SMALL) == added_by(objective)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_setting_that_does_not_fit_is_refused_as_a_search_would():
    with pytest.raises(LossError, match="crd: num_negatives is 0"):
        added_parameters(workload(), "crd", published("crd") | {"num_negatives": 0}, **SMALL)


# The largest batch


def linear(fixed, each, limit=None):
    """A machine of `limit` bytes whose memory grows linearly, and the sizes it is asked for."""

    def measure(batch_size):
        asked.append(batch_size)
        peak = fixed + each * batch_size
        if limit and peak > limit:
            raise TooLargeError("too large")
        return Cost(0, 0, batch_size, 1.0, peak)

    asked: list[int] = []
    return measure, asked


def test_linear_memory_takes_four_measurements_at_most():
    for cap in (3_000, 10_000, 100_000, 250_000):
        measure, asked = linear(1000, 100)
        found = find_largest(measure, cap, 4096)
        assert found.batch_size == min((cap - 1000) // 100 // 8 * 8, 4096)
        assert found.peak_bytes <= cap
        assert len(asked) == len(set(asked)) <= 4


@pytest.mark.parametrize("power", [0.8, 1.2, 2.0])
def test_memory_that_is_not_linear_is_found_too(power):
    for cap in (3_000, 7_000, 60_000, 900_000):
        asked = []

        def measure(batch_size, asked=asked):
            asked.append(batch_size)
            return Cost(0, 0, batch_size, 1.0, int(1000 + 20 * batch_size**power))

        found = find_largest(measure, cap, 4096)
        best = max(b for b in range(8, 4097, 8) if int(1000 + 20 * b**power) <= cap)
        assert found.batch_size == best
        assert len(asked) == len(set(asked)) <= 12


def test_a_cap_above_what_the_machine_has_ends_below_it():
    measure, _ = linear(1000, 100, limit=50_000)
    assert find_largest(measure, 10**9, 4096).batch_size == 488


def test_the_number_of_images_bounds_the_batch():
    measure, _ = linear(1000, 1)
    assert find_largest(measure, 10**9, 8).batch_size == 8
    assert find_largest(measure, 10**9, 1144).batch_size == 1144


def test_nothing_fits_under_a_cap_that_is_too_low(monkeypatch):
    measure, asked = linear(1000, 100)
    assert find_largest(measure, 1500, 4096) is None
    assert asked == [16, 8]
    monkeypatch.setattr(cost, "measure_cost", lambda *a, batch_size, **k: measure(batch_size))
    with pytest.raises(
        RequestError, match=r"kd: a step of 8 images does not fit into 0.00 GB; raise"
    ):
        largest_batch(workload(), "kd", published("kd"), 1500, **SMALL)


# What is refused


def test_a_batch_larger_than_the_data_is_refused():
    with pytest.raises(RequestError, match="batch size is 1024; it must lie between 2 and 512"):
        measured("kd", batch_size=1024)


def test_an_unknown_method_is_refused():
    with pytest.raises(
        RequestError, match="unknown method 'itdr'; did you mean 'itrd'\\? known: ab"
    ):
        measure_cost(workload(), "itdr", {}, batch_size=8, **SMALL)


@pytest.mark.parametrize(
    ("answer", "status", "error", "text"),
    [
        ({"too_large": "no room"}, 0, TooLargeError, "no room; give a smaller batch size"),
        ({"refused": "no"}, 0, RequestError, "kd with 32 images a step: no$"),
        (None, -9, TooLargeError, "its process was killed; give a smaller batch size"),
        (None, 1, RequestError, r"could not be measured, status 1 \(last line\)"),
    ],
)
def test_what_a_process_says_arrives_in_one_sentence(monkeypatch, answer, status, error, text):
    said = f"a warning\n{json.dumps(answer)}\n"
    process = subprocess.CompletedProcess([], status, said, "first line\nlast line\n")
    monkeypatch.setattr(subprocess, "run", lambda *a, **k: process)
    with pytest.raises(error, match=text) as refused:
        measured("kd")
    assert "\n" not in str(refused.value)


@pytest.mark.slow
def test_what_a_method_refuses_in_the_process_arrives_in_one_sentence():
    with pytest.raises(RequestError, match=r"itrd with 32 images a step: .*alpha") as refused:
        measure_cost(workload(), "itrd", published("itrd") | {"alpha": "x"}, batch_size=32, **SMALL)
    assert "\n" not in str(refused.value)


def no_memory_for_a_tensor(**request):
    torch.empty(10**16)


def no_memory_for_an_array(**request):
    np.empty(10**16)


def broken(**request):
    raise KeyError("stage9")


@pytest.mark.parametrize(
    ("fails", "kind"),
    [
        (no_memory_for_a_tensor, "too_large"),
        (no_memory_for_an_array, "too_large"),
        (broken, "refused"),
    ],
)
def test_a_process_tells_a_lack_of_memory_from_other_errors(monkeypatch, capsys, fails, kind):
    monkeypatch.setattr(sys, "stdin", io.StringIO('{"asked_by": 1}'))
    monkeypatch.setattr(cost_process, "_end_with", lambda parent: None)
    monkeypatch.setattr(cost_process, "_measure", fails)
    cost_process.main()
    answer = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert list(answer) == [kind]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
@pytest.mark.slow
def test_a_process_ends_with_the_one_that_asked(tmp_path):
    asks = tmp_path / "asks.py"  # and measures for ever, until it is killed
    asks.write_text(
        "import os, subprocess, sys\n"
        "measures = 'import os, time; from tuner.training.step_cost_process import _end_with;'\n"
        "measures += f'_end_with({os.getpid()}); print(os.getpid(), flush=True); time.sleep(60)'\n"
        "subprocess.run([sys.executable, '-c', measures])\n"
    )
    with subprocess.Popen([sys.executable, asks], stdout=subprocess.PIPE, text=True) as process:
        measures = int(process.stdout.readline())
        process.kill()
        deadline = time.monotonic() + 10
        while is_running(measures) and time.monotonic() < deadline:
            time.sleep(0.05)
    assert not is_running(measures)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


# Measured


@pytest.mark.slow
def test_measurements_are_plausible():
    plain, kd = measured("plain"), measured("kd")
    # Memory grows with the batch, by the maps that the backward pass needs.
    two, four = (measured("kd", batch_size=size).peak_bytes for size in (128, 256))
    assert four - two == pytest.approx(
        2 * (two - measured("kd", batch_size=64).peak_bytes), rel=0.1
    )
    assert two > 2 * kd.peak_bytes
    # A measurement repeats, and a teacher in the loop costs something.
    again = measured("kd")
    assert again.peak_bytes == pytest.approx(kd.peak_bytes, rel=0.02)
    assert kd.peak_bytes > plain.peak_bytes
    assert kd.step_seconds > 1.1 * plain.step_seconds
    assert kd.images_per_second == 32 / kd.step_seconds
    assert (kd.num_parameters, kd.buffer_bytes, kd.batch_size) == (0, 0, 32)


@pytest.mark.slow
def test_the_banks_of_crd_show_in_its_peak():
    few, many = (measured("crd", num_images=n, num_negatives="64") for n in (10_000, 210_000))
    banks = 200_000 * 128 * 4 * 2
    assert many.buffer_bytes - few.buffer_bytes == banks
    # Beside the banks: for each image its row in them and the class's (32 bytes), its place in
    # the epoch and its augmentation.
    assert banks < many.peak_bytes - few.peak_bytes < 1.1 * banks


@pytest.mark.slow
def test_four_rotations_cost_about_four_times_as_much():
    upright, rotated = measured("kd", batch_size=64), measured("hsakd", batch_size=64)
    # Both networks see four images each, and the branches come on top.
    assert 3.5 < rotated.step_seconds / upright.step_seconds < 9
    assert 2.5 < rotated.peak_bytes / upright.peak_bytes < 9


@pytest.mark.slow
def test_the_largest_batch_stays_below_the_cap_and_is_near_it():
    cap = 150_000_000
    options = {"num_steps": 1, "num_images": 4096, "num_classes": 10}
    found = largest_batch(workload(), "kd", published("kd"), cap, **options)
    assert 0.9 * cap < found.peak_bytes <= cap
    above = measure_cost(
        workload(), "kd", published("kd"), batch_size=found.batch_size + 16, **options
    )
    assert above.peak_bytes > cap
