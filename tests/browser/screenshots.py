"""Takes the screenshots of MLflow and of a report that README shows, into docs/images:

    python -m tests.browser.screenshots RUNS_DIR SEARCH

The search has ended, and its MLflow store is RUNS_DIR/mlflow.db. Needs Chromium.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from mlflow import MlflowClient
from PIL import Image

from tests.support.browser import Page, browser, chromium
from tests.support.servers import mlflow_server

IMAGES = Path(__file__).parents[2] / "docs" / "images"
# Of the window; further right is MLflow's assistant, or nothing.
WINDOW, WIDTH = (1720, 1000), 1276
UNFOLD = """(row => row && (row.querySelector('[col-id*="Run Name"] button').click(), true))
([...document.querySelectorAll('[role=row]')].find(row => row.innerText.includes(%r)))"""


def main(arguments: list[str]) -> int:
    """Returns the exit status."""
    if len(arguments) != 2 or chromium() is None:
        print(__doc__, file=sys.stderr)  # noqa: T201
        return 2
    runs, name = Path(arguments[0]).absolute(), arguments[1]
    store = f"sqlite:///{runs}/mlflow.db"
    client = MlflowClient(tracking_uri=store)
    experiment = client.get_experiment_by_name("tuner").experiment_id
    found = client.search_runs([experiment], f"attributes.run_name = '{name}'")
    run = f"experiments/{experiment}/runs/{found[0].info.run_id}"
    IMAGES.mkdir(exist_ok=True)
    with TemporaryDirectory() as folder:
        server = mlflow_server(store, Path(folder))
        try:
            with browser(*WINDOW) as page:
                _take(page, f"http://127.0.0.1:{server.port}/#/", experiment, run, name)
                page.resize(WIDTH, 1100)
                page.open(f"file://{runs}/{name}/report.html")
                page.wait_for("!!document.querySelector('svg')")
                _picture(page, "report.png", 0, 0, WIDTH, 1100)
        finally:
            server.kill()
    return 0


def _take(page: Page, address: str, experiment: str, run: str, name: str) -> None:
    page.open(
        f"{address}experiments/{experiment}/runs"
        "?workflowType=machine_learning&viewStateShareKey=tuner-searches"
    )
    page.wait_for(UNFOLD % name)
    page.wait_for("document.querySelector('[aria-label=\"Hide banner\"]')?.click() ?? true")
    page.wait_for("document.body.innerText.includes('0000')")
    _settle(page)
    _picture(page, "mlflow-experiment.png", 0, 0, WIDTH, 760)
    page.open(f"{address}{run}?workflowType=machine_learning")
    page.follow("Compare all trials")
    page.wait_for("document.querySelectorAll('.parcoords .axis-title').length > 2")
    _settle(page)
    _picture(page, "mlflow-compare.png", 0, 0, WIDTH, 640)


def _settle(page: Page) -> None:
    """Waits until two frames have been drawn: then the layout is on the screen."""
    page.evaluate(
        "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))"
    )


def _picture(page: Page, file: str, left: int, top: int, width: int, height: int) -> None:
    """Saves a part of the page, with few colours to keep the file small."""
    path = IMAGES / file
    page.picture(path, left, top, width, height)
    Image.open(path).convert("RGB").quantize(128).save(path, optimize=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
