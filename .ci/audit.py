"""Known vulnerabilities of what is installed, from pip-audit's JSON: all are told, few end CI.

    pip-audit --skip-editable --format json > audit.json; python .ci/audit.py audit.json

Fails for a dependency that pyproject.toml names and that has a fixed version: raise its lower
bound. A finding in what comes with those, or without a fix, would fail for a reason that no
change of this repository could mend.
"""

import json
import re
import sys
import tomllib
from pathlib import Path


def main(path: str) -> int:
    text = Path(path).read_text()
    packages = json.loads(text)["dependencies"] if text.strip() else []
    audited = [package for package in packages if "vulns" in package]
    print(f"audited {len(audited)} of {len(packages)} packages")  # noqa: T201
    project = tomllib.loads(Path(__file__).parent.parent.joinpath("pyproject.toml").read_text())
    own = {re.split(r"[^\w-]", line)[0] for line in project["project"]["dependencies"]}
    status = 0
    for package in audited:
        for found in package["vulns"]:
            fixed = ", ".join(found["fix_versions"]) or "no version"
            what = f"{package['name']} {package['version']}: {found['id']}"
            print(f"{what}, fixed in {fixed}")  # noqa: T201
            if package["name"] in own and found["fix_versions"]:
                status = 1
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
