"""What reports import, each in a fresh interpreter."""

import subprocess
import sys


def test_pyplot_and_its_state_are_not_used() -> None:
    code = (
        "import sys, tuner.reports.search_page, tuner.reports.searches_page\n"
        "from tuner.reports.figure_style import drawing\n"
        "with drawing(): pass\n"
        "sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_matplotlib_is_imported_only_where_a_report_is_written() -> None:
    code = (
        "import sys, tuner.search, tuner.driver.comparison, tuner.driver.ending, tuner.report\n"
        "import tuner.terminal.document\n"
        "sys.exit(any(name.partition('.')[0] == 'matplotlib' for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
