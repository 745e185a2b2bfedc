"""Checkpoints: whatever is damaged is noticed, and everybody can read what is whole."""

import io
import random

import pytest
import torch

import models
from tuner.storage import checkpoint
from tuner.storage.checkpoint import DamagedCheckpointError


@pytest.fixture(scope="module")
def content() -> bytes:
    return checkpoint.dump({"model": models.build("resnet8", 10).state_dict(), "history": [1.5]})


def test_it_is_read_by_torch_alone(content):
    loaded = torch.load(io.BytesIO(content), weights_only=True)
    ours = checkpoint.load(content)
    assert loaded["history"] == ours["history"] == [1.5]
    for name, value in ours["model"].items():
        torch.testing.assert_close(loaded["model"][name], value, rtol=0, atol=0)


def test_any_flipped_bit_is_noticed(content):
    draw = random.Random(0)
    for place in [
        *range(64),
        *range(len(content) - 64, len(content)),
        *draw.sample(range(len(content)), 500),
    ]:
        damaged = bytearray(content)
        damaged[place] ^= 1 << draw.randrange(8)
        with pytest.raises(DamagedCheckpointError):
            checkpoint.load(bytes(damaged))


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 1000, -1, -8])
def test_a_file_that_was_cut_short_is_noticed(content, size):
    with pytest.raises(DamagedCheckpointError):
        checkpoint.load(content[:size])


def test_another_programs_file_is_not_taken_for_one_of_ours():
    buffer = io.BytesIO()
    torch.save({"model": {}}, buffer)
    with pytest.raises(DamagedCheckpointError):
        checkpoint.load(buffer.getvalue())
