"""What a step costs, each measurement in a fresh process."""

import numpy as np
import pytest

from search_spaces import SPACES
from tuner.config.workload import Workload, resolve
from tuner.text.errors import RequestError
from tuner.training.step_cost import largest_batch, measure_cost
from tuner.training.step_measurement import Cost


def workload() -> Workload:
    # The data is never opened: there is no such folder.
    given = {"data": "parquet:nowhere", "data_dir": "nowhere", "seed": 0, "precision": "float32"}
    return resolve(given | {"teacher": "resnet20", "student": "resnet8", "image_size": 32})


def measured(method: str, batch_size: int = 32, num_images: int = 512, **pins: str) -> Cost:
    return measure_cost(
        workload(),
        method,
        {} if method == "plain" else SPACES[method].narrow(pins).published(),
        batch_size=batch_size,
        num_steps=3,
        num_images=num_images,
        num_classes=10,
    )


def test_measurements_are_plausible():
    plain, one, two, four = (
        measured("plain", 64), measured("kd", 64), measured("kd", 128), measured("kd", 256)
    )  # fmt: skip
    # Memory grows with the batch, by the maps that the backward pass needs.
    assert 1.5 < two.peak_bytes / one.peak_bytes < 2.5
    assert 1.5 < four.peak_bytes / two.peak_bytes < 2.5
    # The teacher in the loop costs memory and time.
    assert one.peak_bytes > plain.peak_bytes
    assert two.step_seconds > plain.step_seconds
    assert (one.num_parameters, one.buffer_bytes, one.batch_size) == (0, 0, 64)


def test_a_measurement_repeats_whatever_this_process_has_allocated():
    first = measured("kd", 128)
    ballast = np.ones(2**30, np.uint8)
    again = measured("kd", 128)
    assert ballast.all()
    assert again.peak_bytes == pytest.approx(first.peak_bytes, rel=0.15)


def test_the_banks_of_crd_show_in_its_peak():
    few, many = (measured("crd", num_images=n, num_negatives="64") for n in (10_000, 210_000))
    banks = 200_000 * 128 * 4 * 2
    assert many.buffer_bytes - few.buffer_bytes == banks
    # Beside the banks: for each image its row in them and the class's (32 bytes), its place in
    # the epoch and its augmentation.
    assert banks < many.peak_bytes - few.peak_bytes < 1.2 * banks


def test_four_rotations_cost_about_four_times_as_much():
    upright, rotated = measured("kd", batch_size=64), measured("hsakd", batch_size=64)
    # Both networks see four images each, and the branches come on top.
    assert 2.5 < rotated.step_seconds / upright.step_seconds < 20
    assert 2.5 < rotated.peak_bytes / upright.peak_bytes < 9


def test_the_largest_batch_stays_below_the_cap_and_is_near_it():
    cap = 150_000_000
    setting, sizes = SPACES["kd"].published(), {"num_images": 4096, "num_classes": 10}
    found = largest_batch(workload(), "kd", setting, cap, num_steps=1, **sizes)
    assert 0.7 * cap < found.peak_bytes <= cap
    above = measure_cost(
        workload(), "kd", setting, batch_size=2 * found.batch_size, num_steps=1, **sizes
    )
    assert above.peak_bytes > cap


def test_what_a_method_refuses_in_the_process_arrives_in_one_sentence():
    setting = SPACES["itrd"].published() | {"alpha": "x"}
    with pytest.raises(RequestError, match=r"itrd with 32 images per step: .*alpha") as refused:
        measure_cost(workload(), "itrd", setting, batch_size=32, num_images=512, num_classes=10)
    assert "\n" not in str(refused.value)
