#!/usr/bin/env bash
# Injects every fault that docs/reliability.md lists and prints its table. Arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")/../.."
# Two files at a time: much of it is waiting for processes to start.
exec pytest -n 2 --dist loadfile tests/faults tests/cluster tests/searches/test_bad_input.py \
    tests/searches/test_loopback.py tests/searches/test_status_and_stop.py "$@"
