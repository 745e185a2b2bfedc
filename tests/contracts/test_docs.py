"""What the README and the other files beside the code promise is true."""

import ast
import importlib
import re
import shlex
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

import pytest

import models
from losses import LOSSES, LossError, Objective, build_objective
from models.outputs import Shapes
from search_spaces import SPACES, Choice, Epochs, Fixed, load_space
from search_spaces.parameters import Value
from search_spaces.wording import list_of, text_of
from tuner import search
from tuner.config.command_line import parser_for, read_request
from tuner.config.options import ReproduceRequest, SearchRequest
from tuner.reproductions.catalogue import CATALOGUE, find_entry
from tuner.reproductions.planning import plan_reproduction

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
DOCUMENTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")]
METHODS = ROOT / "docs" / "methods"
every_method = pytest.mark.parametrize("method", [name for name in LOSSES if name != "plain"])


def test_the_readme_space_of_ten_lines_is_searchable(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    path = tmp_path / "my_space.py"
    path.write_text(code)
    assert load_space(str(path)).published() == SPACES["itrd"].published()
    assert search.main(["--space", str(path), "--dry-run"]) == 0
    assert "beta_corr" in capsys.readouterr().out


def test_every_option_that_the_documents_name_exists() -> None:
    parsers = [parser_for(request, "x", "y") for request in (SearchRequest, ReproduceRequest)]
    actions = [action for parser in parsers for action in parser._actions]
    known = {option for action in actions for option in action.option_strings}
    known |= {"--resume", "--dry-run", "--list", "--quiet", "--json", "--backend-store-uri"}
    known |= {"--output", "--test", "--keep", "--older-than", "--all"}  # of the other commands
    known |= {"--rounds", "--methods"}  # of the benchmarks
    known |= {"--generate", "--no-config-cache", "--tmux"}  # of Ray
    known |= {"--from-env-file", "--from-literal", "--watch"}  # of kubectl
    known |= {"--chown", "--no-cache-dir"}  # of Docker's files, and pip
    known |= {"--artifacts-destination", "--host", "--port", "--app-name"}  # of mlflow server
    known |= {"--allowed-hosts", "--uvicorn-opts", "--ssl-keyfile", "--ssl-certfile"}
    for document in DOCUMENTS:
        named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", document.read_text()))
        assert named <= known, (document.name, named - known)


def test_every_model_has_its_place_in_the_documents() -> None:
    listed = (ROOT / "docs" / "models.md").read_text()
    assert [name for name in models.MODELS if f"`{name}`" not in listed] == []


def test_every_link_of_the_documents_leads_somewhere() -> None:
    for document in DOCUMENTS:
        for file, anchor in re.findall(r"(?<!\")\]\(([^)#]*)#?([^)]*)\)", document.read_text()):
            if file.startswith("http"):
                continue
            target = document.parent / file if file else document
            assert target.exists(), (document.name, file)
            assert not anchor or anchor in anchors(target), (document.name, file, anchor)


def test_the_table_of_methods_names_every_method() -> None:
    assert sorted(methods_table()) == sorted(set(LOSSES) - {"plain"})


@every_method
def test_the_table_of_methods_agrees_with_the_code(method: str) -> None:
    paper, formula, needs, heads, weights, stage = methods_table()[method]
    # Same paper as on the page.
    for number in re.findall(r"arXiv:[\d.]+", paper):
        assert number in page_of(method)
    # The linked files have what is named.
    files = re.findall(r"\(../../(\w+)/(\w+)\.py\)", formula)
    defined = {name for file in files for name in vars(importlib.import_module(".".join(file)))}
    names = {name for name in quoted(formula) if "/" not in name}
    assert names <= defined
    assert LOSSES[method].__name__ in names

    objectives = published_objectives(method)
    losses = [objective.loss for objective in objectives]
    stages = [loss.initial_stage for loss in losses if loss.initial_stage]
    needed = [need for objective in objectives for need in objective.needs]
    needed += [need for initial_stage in stages for need in initial_stage.needs]
    # "rotations.feature_maps.stage1" is a feature map.
    assert {need.removeprefix("rotations.").split(".")[0] for need in needed} == set(quoted(needs))
    assert any(list(loss.parameters()) for loss in losses) == (heads != "none")
    published = SPACES[method].published()
    for name, weight in re.findall(r"`(\w+)` ([\d.]+)", weights):
        assert published[name] == float(weight)
    assert [name for name in quoted(weights) if name not in published] == []

    epochs = [p for p in SPACES[method].params if p.name == "initial_epochs"]
    if not epochs:
        assert (stage, stages) == ("none", [])
    for parameter in epochs:
        assert isinstance(parameter, Epochs)
        assert stage.startswith(f"{parameter.published} of {parameter.of} epochs: ")
        assert {found.trains_student for found in stages} == {"student" in stage}


@every_method
def test_the_page_of_a_method_agrees_with_its_search_space(method: str) -> None:
    params = {parameter.name: parameter for parameter in SPACES[method].params}
    described = set()
    for names, searched, grid, published, _ in rows(page_of(method), "hyperparameter"):
        for number, name in enumerate(quoted(names)):
            described.add(name)
            parameter = params[name]
            value = re.split("[; :]+", published)[number]
            assert value == written(parameter.published), name
            if isinstance(parameter, Epochs):
                assert published == f"{value} of {parameter.of}"
            if isinstance(parameter, Fixed):
                assert "`--set" in searched, name
            elif isinstance(parameter, Choice):
                assert searched == list_of(parameter.options), name
            else:
                scale = ", log" if parameter.log else ""
                span = f"{written(parameter.low)} to {written(parameter.high)}{scale}"
                assert re.fullmatch(re.escape(span) + r"( \(\w+\))?", searched), name
                assert grid.startswith(" ".join(map(written, parameter.grid))), name
    assert described == set(params)


@every_method
def test_the_command_of_a_method_would_run(
    method: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (command,) = re.findall(r"^    python -m tuner.search (.+)$", page_of(method), re.MULTILINE)
    arguments = shlex.split(command)
    options = dict(zip(arguments[::2], arguments[1::2], strict=True))
    assert options["--space"] == method
    assert search.main([*arguments, "--data-dir", str(tmp_path), "--dry-run"]) == 0
    assert f"space of {method}" in capsys.readouterr().out
    objective_for(method, options["--teacher"], options["--student"])


def test_the_table_of_reproductions_agrees_with_the_code() -> None:
    found = rows((ROOT / "docs" / "reproductions.md").read_text(), "name")
    assert [name.strip("`") for name, *_ in found] == [*CATALOGUE]
    for name, _, trains, seeds in found:
        experiment = CATALOGUE[name.strip("`")].experiment
        counts = [len(experiment.variants), len(experiment.pairs)]
        told = f"{counts[0]} settings" + (f" of {counts[1]} pairs" if counts[1] > 1 else "")
        assert trains == (told if experiment.variants else "nothing")
        assert seeds == (str(experiment.seeds) if experiment.variants else "")


def test_the_commands_of_the_reproductions_would_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cifar10").mkdir()
    commands = [
        shlex.split(command)
        for document in (README, (ROOT / "docs" / "reproductions.md").read_text())
        for command in re.findall(
            r"^    python -m tuner.reproduce (.+)$", document.replace("\\\n", ""), re.MULTILINE
        )
    ]
    assert len(commands) >= 7
    for arguments in commands:
        if arguments != ["--list"]:
            given = vars(parser_for(ReproduceRequest, "x", "y").parse_args(arguments))
            given = {name: value for name, value in given.items() if value is not None}
            request = read_request(ReproduceRequest, given | {"runs_dir": str(tmp_path)})
            planned = plan_reproduction(find_entry(request.reproduction).experiment, request)
            assert bool(planned.departures) == (len(arguments) > 1)


def test_the_messages_of_the_troubleshooting_page_are_those_of_the_code() -> None:
    texts = "\n".join(
        text
        for package in ("tuner", "losses", "models", "search_spaces")
        for path in sorted((ROOT / package).rglob("*.py"))
        for text in texts_of(path)
    )
    page = (ROOT / "docs" / "troubleshooting.md").read_text()
    headings = re.findall(r"^\*\*(`.*?`)\*\*", page, re.MULTILINE)
    messages = [message for heading in headings for message in re.findall("`(.*?)`", heading)]
    assert len(messages) > 25
    # "…" stands for a value, and so may what is in brackets.
    parts = [
        part.strip(" :;,") for message in messages for part in re.split(r"[…()]|s3://", message)
    ]
    assert [part for part in parts if len(part) > 8 and part not in texts] == []


def texts_of(path: Path) -> Iterator[str]:
    """The texts in a module, those with values in parts."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def methods_table() -> dict[str, list[str]]:
    """The cells of each method's row in the table of all, without the first."""
    found = rows((METHODS / "README.md").read_text(), "method")
    for method, *_ in found:
        assert re.fullmatch(r"\[`(\w+)`\]\(\1\.md\)", method)
    return {quoted(method)[0]: cells for method, *cells in found}


def page_of(method: str) -> str:
    return (METHODS / f"{method}.md").read_text()


def rows(text: str, heading: str) -> list[list[str]]:
    """The cells of each row of the table whose first heading this is."""
    _, table = text.split(f"| {heading} |", 1)
    lines = table.split("\n\n")[0].splitlines()[2:]  # without the headings and the rule
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def quoted(cell: str) -> list[str]:
    return re.findall(r"`([\w./]+)`", cell)


def written(value: Value) -> str:
    return f"{value:g}" if isinstance(value, float) else text_of(value)


def anchors(document: Path) -> list[str]:
    """What the headings of a document are called in links."""
    headings = re.findall(r"^#+ (.*)$", document.read_text(), re.MULTILINE)
    return [re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings]


def published_objectives(method: str) -> list[Objective]:
    """The published setting, for equal maps and for others, as far as the method takes them."""
    found = []
    for student in ("resnet8", "ShuffleV2"):
        with suppress(LossError):
            found.append(objective_for(method, "resnet20", student))
    return found


@cache
def objective_for(method: str, teacher: str, student: str) -> Objective:
    """Of the published setting. Raises LossError where the method does not take the pair."""
    published = SPACES[method].published()
    return build_objective(LOSSES[method], shapes(student), shapes(teacher), published)


@cache
def shapes(name: str) -> Shapes:
    return models.shapes_of(models.build_untrained(name, 10), (32, 32), name)
