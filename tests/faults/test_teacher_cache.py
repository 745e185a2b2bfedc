"""Processes that fill one teacher cache at the same time, and are killed while they do."""

import os
import random
import signal
import time
from contextlib import contextmanager

import pytest

from tests.support.teacher_outputs import (
    NUM_IMAGES,
    SHARED,
    Counting,
    assert_equal,
    cached,
    make_teacher,
    read_epoch,
    shards_in,
    views_of,
)
from tests.support.trainings import digits, untrained_network
from tuner.teacher_cache import OutputsPlan, teacher
from tuner.teacher_cache.shard import read_shard


@pytest.fixture(scope="module")
def data(data_dir):
    return digits(data_dir, NUM_IMAGES)


@pytest.fixture(scope="module")
def network():
    return untrained_network()


@pytest.fixture(autouse=True)
def _shared_buffer(tmp_path, monkeypatch):
    monkeypatch.setattr(teacher, "shared_buffer_folder", lambda: tmp_path / "buffer")


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


@pytest.mark.parametrize("plan", [cached(), SHARED], ids=["cached", "shared"])
def test_processes_share_the_work(data, network, tmp_path, plan):
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


@pytest.mark.parametrize("plan", [cached(), SHARED], ids=["cached", "shared"])
def test_the_lock_of_a_killed_process_is_free(data, network, tmp_path, plan):
    views = views_of(data)
    hanging = Counting(network, tmp_path / "hanging", seconds=600)
    with forked(lambda: read_epoch(make_teacher(data, hanging, tmp_path, plan), views)) as pid:
        time.sleep(0.3)
        os.kill(pid, signal.SIGKILL)
    counting = Counting(network, tmp_path / "count")
    read = read_epoch(make_teacher(data, counting, tmp_path, plan), views)
    live = read_epoch(make_teacher(data, network, tmp_path, OutputsPlan()), views)
    assert_equal(read, live)
    assert counting.num_images == NUM_IMAGES


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
        for path in shards_in(tmp_path):
            assert read_shard(path).size
    assert shards_in(tmp_path)
    live = make_teacher(data, network, tmp_path, OutputsPlan())
    source = make_teacher(data, network, tmp_path, cached())
    for epoch in (1, 2, 3):
        assert_equal(read_epoch(source, views, epoch), read_epoch(live, views, epoch))
    assert source.take_notes() == []
