"""The page on one's own networks and methods: exactly its code is run."""

import re
from pathlib import Path

import pytest
import torch
from torch import Tensor

import models
from losses import DistillationLoss, build_objective
from losses.batch import Batch
from models import Outputs, shapes_of
from models.outputs import Shapes
from search_spaces import Space, load_space

PAGE = (Path(__file__).parents[2] / "docs" / "bring-your-own.md").read_text()
FILES = dict(re.findall(r"`(\w+\.py)`:\n\n```python\n(.*?)```", PAGE, re.DOTALL))


@pytest.fixture(autouse=True)
def _files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page's files, in the working folder."""
    for name, code in FILES.items():
        (tmp_path / name).write_text(code)
    monkeypatch.chdir(tmp_path)


def test_the_page_shows_the_files_that_it_names() -> None:
    assert set(FILES) == {"my_net.py", "my_outputs_net.py", "my_method.py"}
    commands = re.findall(r"^    \S.*$", PAGE, re.MULTILINE)
    named = re.findall(r"\./(\w+\.py)", "\n".join(commands))
    assert set(named) <= set(FILES)


@pytest.mark.parametrize("name", re.findall(r"--(?:teacher|student) '?([^@'`\s]+)", PAGE))
def test_every_network_that_the_page_names_can_be_a_student(name: str) -> None:
    if name.startswith("timm:"):
        pytest.importorskip("timm")
    network = models.build(name, num_classes=7)
    outputs = network(torch.randn(2, 3, 32, 32))
    assert outputs.logits.shape == (2, 7)
    assert outputs.embedding.dim() == 2
    assert len(outputs.feature_maps) >= 2
    outputs.logits.sum().backward()
    assert all(value.grad is not None for value in network.parameters())


def test_the_page_shows_what_its_code_prints(capsys: pytest.CaptureFixture[str]) -> None:
    code, printed = re.findall(r"```python\n(import models\n.*?)```\n+```\n(.*?)```", PAGE, re.S)[0]
    exec(compile(code, "the page", "exec"), {})
    assert capsys.readouterr().out == printed


def test_the_network_that_returns_outputs_keeps_them() -> None:
    network = models.build("./my_outputs_net.py:MyOutputsNet", num_classes=7)
    outputs = network(torch.randn(2, 3, 8, 8))
    assert list(outputs.feature_maps) == list(outputs.pre_activation_maps) == ["stem", "stage1"]
    torch.testing.assert_close(
        outputs.pre_activation_maps["stage1"].relu(), outputs.feature_maps["stage1"]
    )


def test_the_method_learns() -> None:
    space, method = the_method()
    assert space.published()["weight"] == 1.0
    student, teacher = example(64), example(96)
    shapes = Shapes((10,), (64,), {}), Shapes((10,), (96,), {})
    for setting in space.grid()[::3]:
        objective = build_objective(method, *shapes, setting)
        optimizer = torch.optim.SGD(objective.loss.parameters(), lr=0.1)
        batch = Batch(torch.randn(4, 3, 8, 8), torch.tensor([0, 1, 2, 3]), torch.arange(4), seed=0)
        losses = []
        for _ in range(3):
            terms = objective(student, teacher, batch)
            assert set(terms) == {"ce", "direction"}
            total = torch.stack(list(terms.values())).sum()
            optimizer.zero_grad()
            total.backward()
            optimizer.step()
            losses.append(total.item())
        assert losses[0] > losses[1] > losses[2]
        assert student.embedding.grad is not None
        assert teacher.embedding.grad is None


def test_the_method_takes_the_pages_own_networks() -> None:
    space, method = the_method()
    student, teacher = (
        shapes_of(models.build(f"./my_net.py:{function}", 10), (8, 8))
        for function in ("small", "large")
    )
    objective = build_objective(method, student, teacher, space.published())
    assert objective.needs == ("embedding",)


def the_method() -> tuple[Space, type[DistillationLoss]]:
    space = load_space("./my_method.py")
    assert space.loss is not None
    assert issubclass(space.loss, DistillationLoss)
    return space, space.loss


def example(width: int) -> Outputs:
    """Four images' outputs; the student's embedding is the narrow one."""
    generator = torch.Generator().manual_seed(width)
    embedding: Tensor = torch.randn(4, width, generator=generator).requires_grad_(width == 64)
    return Outputs(torch.zeros(4, 10), embedding, {}, {})
