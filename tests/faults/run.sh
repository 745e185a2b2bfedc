#!/usr/bin/env bash
# Injects every fault that docs/reliability.md lists, for real, and prints its table.
set -euo pipefail
cd "$(dirname "$0")/.."
# Two files at a time: much of it is waiting for processes to start.
exec pytest -m "slow or cluster" -n 2 --dist loadfile \
    tests/faults/test_processes.py tests/faults/test_storage.py tests/cluster/test_ray_up.py \
    tests/cluster/test_two_nodes.py tests/faults/test_s3.py tests/faults/test_mlflow_server.py tests/cluster/test_cluster.py \
    tests/searches/test_status_and_stop.py tests/unit/test_security.py tests/searches/test_bad_input.py "$@"
