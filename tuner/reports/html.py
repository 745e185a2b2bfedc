"""report.html: one page that opens anywhere, without a network.

Rebuilt at any time from three files of the search's folder: search.yaml,
trials.parquet and epochs.parquet.
"""

import json
import re
import shlex
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from search_spaces import Space, SpaceError, load_space
from tuner.arguments import parse_yaml
from tuner.errors import RequestError
from tuner.orchestration.plan import winner
from tuner.orchestration.record import FAILED, FINAL, SEARCH, Record, Setting, Trial
from tuner.reports import figures
from tuner.reports.comparison import compare
from tuner.reports.figures import Panel
from tuner.reports.formatting import (
    NOTHING,
    accuracy_text,
    difference_text,
    duration_text,
    percent_text,
    value_text,
)
from tuner.reports.study import study_of
from tuner.reports.summary import axis_of, findings, is_interrupted, metric_of, workload_text
from tuner.reports.tables import read_tables, seconds_of
from tuner.secrets import without_secrets
from tuner.storage import SEARCH_FILE, Storage

REPORT_FILE = "report.html"

_TAG = re.compile(r"<(?!/?(?:br|extra)>)")  # but those of line breaks and of Plotly's hover boxes


def write_report(storage: Storage) -> str:
    """Writes report.html into a search's folder and returns its path.

    Raises RequestError where one of the three files is missing or damaged.
    """
    record = read_tables(storage)
    text, request = _read_request(storage)
    storage.write(REPORT_FILE, _page(storage, record, text, request).encode())
    return storage.path(REPORT_FILE)


def _read_request(storage: Storage) -> tuple[str, dict[str, Any]]:
    path = storage.path(SEARCH_FILE)
    try:
        text = storage.read(SEARCH_FILE).decode(errors="replace")
    except FileNotFoundError as error:
        raise RequestError(f"{path} is missing; give the folder of a search") from error
    request = parse_yaml(path, text)
    # What was not asked for may be written as null; it is the same as left out.
    return text, {name: value for name, value in request.items() if value is not None}


def _page(storage: Storage, record: Record, text: str, request: dict[str, Any]) -> str:
    metric, axis = metric_of(request), axis_of(request)
    best = winner(record, metric)
    rows = compare(record)
    space, problem = _space(request)
    panels = [
        figures.final_curves(record, metric, axis),
        figures.search_curves(record, best, metric, axis),
        *_search_panels(record, space, problem, metric, axis),
    ]
    trials = record.of(SEARCH)
    varied, constant = _varied(trials)
    template = page_environment().get_template("report.html")
    return template.render(
        name=request.get("name") or storage.base.rpartition("/")[2],
        selected_on_test=request.get("select_on") == "test",
        findings=findings(record, request, rows, best),
        workload=workload_text(request),
        rows=rows,
        winner=best,
        hyperparameters=_hyperparameters(record, space, best),
        panels=panels,
        metric=metric,
        axis=axis,
        varied=varied,
        constant=constant,
        trials=sorted(trials, key=lambda trial: _order(trial, metric)),
        finals=record.of(FINAL),
        failed=[trial for trial in record.trials.values() if trial.status == FAILED],
        seconds_of=seconds_of,
        search_yaml=without_secrets(text),
        command=_command(storage, record, request),
        is_interrupted=is_interrupted(record, request),
        plotly=Markup(get_plotlyjs()),
        figures=_script([_figure(panel) for panel in panels]),
        templates=_script(figures.TEMPLATES),
    )


def page_environment() -> Environment:
    """Jinja as our pages want it: everything escaped, nothing undefined."""
    environment = Environment(
        loader=PackageLoader("tuner", "reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "accuracy": accuracy_text,
        "difference": difference_text,
        "duration": duration_text,
        "percent": percent_text,
        "value": lambda value: NOTHING if value is None else value_text(value),
    }
    return environment


def _space(request: dict[str, Any]) -> tuple[Space | None, str]:
    """The space that was searched, or why there is none any more."""
    try:
        space = load_space(str(request.get("space", "")))
        if "epochs" in request:
            space = space.for_epochs(request["epochs"])
        return space.narrow(request.get("set") or {}), ""
    except SpaceError as error:
        return None, f"The search space cannot be read any more: {error}."


def _search_panels(
    record: Record, space: Space | None, problem: str, metric: str, axis: str
) -> list[Panel]:
    """The figures of the hyperparameters, or one line that says why there are none."""
    if space is not None:
        try:
            study = study_of(record, space, metric)
        except (KeyError, ValueError) as error:
            problem = f"The trials do not fit the search space any more: {error}."
        else:
            return [
                *figures.slices(study, axis),
                figures.importances(study, axis),
                figures.parallel_coordinates(study, axis),
                figures.contour(study, axis),
            ]
    return [Panel(f"Hyperparameters and {axis}", problem)]


def _hyperparameters(
    record: Record, space: Space | None, best: Trial | None
) -> list[dict[str, Any]]:
    """Tuned beside published and what was searched; a row a hyperparameter."""
    published: Setting = next(
        (trial.setting for trial in record.trials.values() if trial.label == "published"), {}
    )
    if not published and space is not None:
        published = space.published()
    tuned: Setting = best.setting if best is not None else {}
    searched = {row["name"]: row for row in space.table()} if space is not None else {}
    return [
        {
            "name": name,
            "tuned": tuned.get(name),
            "published": published.get(name),
            "differs": best is not None and tuned.get(name) != published.get(name),
            "searched": searched.get(name, {}).get("range", NOTHING),
            "scale": searched.get(name, {}).get("scale", ""),
            "when": searched.get(name, {}).get("when", ""),
        }
        for name in dict.fromkeys([*searched, *published, *tuned])
    ]


def _varied(trials: list[Trial]) -> tuple[list[str], Setting]:
    """Hyperparameters that differ between trials, and the values of those that do not."""
    names = dict.fromkeys(name for trial in trials for name in trial.setting)
    values = {name: {trial.setting.get(name) for trial in trials} for name in names}
    varied = [name for name in names if len(values[name]) > 1]
    return varied, {name: values[name].pop() for name in names if name not in varied}


def _order(trial: Trial, metric: str) -> tuple[bool, bool, int, float]:
    """Full-length trials first, best first; then the others, the longest first."""
    return (
        not trial.is_full_length,
        trial.status == FAILED,
        -len(trial.epochs),
        -(trial.last(metric) or 0.0),
    )


def _command(storage: Storage, record: Record, request: dict[str, Any]) -> str:
    runs, name = storage.parent_uri, storage.base.rpartition("/")[2]
    if is_interrupted(record, request):
        return shlex.join(["python", "-m", "tuner.search", "--resume", name, "--runs-dir", runs])
    path = storage.path(SEARCH_FILE)
    return shlex.join(["python", "-m", "tuner.search", "--config", path, "--name", f"{name}-again"])


def _figure(panel: Panel) -> dict[str, Any] | None:
    """Data and layout, without the template: the page sets it."""
    if panel.figure is None:
        return None
    content: dict[str, Any] = _without_markup(json.loads(panel.figure.to_json()))
    content["layout"].pop("template", None)
    return content


def _without_markup(content: Any) -> Any:
    """The same with no tags in its texts but our own: Plotly would make links of <a href>."""
    if isinstance(content, dict):
        return {key: _without_markup(value) for key, value in content.items()}
    if isinstance(content, list):
        return [_without_markup(value) for value in content]
    return _TAG.sub("&lt;", content) if isinstance(content, str) else content


def _script(content: Any) -> Markup:
    """JSON that cannot end the script element it stands in."""
    return Markup(json.dumps(content).replace("<", "\\u003c"))
