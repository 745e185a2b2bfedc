"""search.yaml, as reports read it."""

import pytest

from search_spaces import SpaceError
from tuner.reports.request import (
    axis_of,
    is_selected_on_test,
    metric_of,
    read_request_of,
    space_of,
    workload_text,
)
from tuner.storage.folder import Storage
from tuner.text.errors import RequestError


def test_null_means_absent(tmp_path):
    storage = Storage(str(tmp_path))
    with pytest.raises(RequestError, match=r"search\.yaml is missing"):
        read_request_of(storage)
    storage.write("search.yaml", b"data: digits\nlimit: null\n")
    assert read_request_of(storage) == ("data: digits\nlimit: null\n", {"data": "digits"})


def test_an_older_request_without_an_option_has_its_default():
    assert (metric_of({}), axis_of({})) == ("val_accuracy", "validation accuracy")
    on_test = {"select_on": "test"}
    assert (metric_of(on_test), axis_of(on_test)) == ("test_accuracy", "test accuracy")
    assert is_selected_on_test(on_test)
    assert not is_selected_on_test({})


def test_the_space_is_narrowed_as_the_search_narrowed_it():
    space = space_of({"space": "itrd", "epochs": 4, "set": {"alpha": "1.5"}})
    assert {row["name"]: row["range"] for row in space.table()}["alpha"] == "fixed: 1.5"
    with pytest.raises(SpaceError):
        space_of({"space": "/gone/space.py"})


def test_the_workload_is_in_words_as_far_as_the_request_has_it():
    request = {
        "data": "digits",
        "limit": 500,
        "validation_fraction": 0.2,
        "teacher": "resnet20@/somewhere/teacher.pt",
        "epochs": 4,
        "batch_size": 32,
        "lr": 0.05,
        "space": "itrd",
    }
    assert workload_text(request) == [
        ("Data", "digits, 500 training images, 20 % of the training set held out for validation"),
        ("Teacher", "resnet20, from /somewhere/teacher.pt"),
        ("Schedule", "4 epochs, batches of 32, learning rate 0.05"),
        ("Search", "itrd, tpe with asha, seed 0"),
        ("Ranked on", "the validation split; the test set is read only after the final trainings"),
    ]
