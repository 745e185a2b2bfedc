"""A report in Chromium, on a light and on a dark page."""

import subprocess

import pytest
from PIL import Image

from tests.support.browser import chromium
from tests.unit.reports.test_page import document
from tuner.reports.figure_style import BLUE
from tuner.reports.page import write_document
from tuner.storage.folder import Storage


@pytest.mark.parametrize(("scheme", "is_dark"), [(0, True), (1, False)])
def test_a_browser_shows_the_figures_in_the_readers_scheme(tmp_path, scheme, is_dark):
    program = chromium()
    if program is None:
        pytest.skip("Chromium is not installed")
    shot, page = tmp_path / "shot.png", write_document(Storage(str(tmp_path)), document())
    subprocess.run(
        [
            *(program, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"),
            *("--disable-background-networking", f"--user-data-dir={tmp_path}/profile"),
            f"--blink-settings=preferredColorScheme={scheme}",
            *(
                "--window-size=800,1800",
                f"--screenshot={shot}",
                f"file://{page}",
            ),
        ],
        capture_output=True,
        timeout=60,
        check=True,
    )
    with Image.open(shot) as image:
        colours = {colour[:3]: number for number, colour in image.convert("RGB").getcolors(2**24)}
    assert colours[tuple(bytes.fromhex(BLUE[1:]))] > 100  # the lines of both figures
    paper = max(colours, key=lambda colour: colours[colour])
    assert (sum(paper) < 150) == is_dark
    # No light rectangle behind a figure of a dark page, nor the other way round.
    opposite = [n for colour, n in colours.items() if (sum(colour) > 382) == is_dark]
    assert sum(opposite) < 0.05 * sum(colours.values())
