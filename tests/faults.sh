#!/usr/bin/env bash
# Injects every fault that docs/reliability.md lists, for real, and prints its table.
set -euo pipefail
cd "$(dirname "$0")/.."
# Two files at a time: much of it is waiting for processes to start.
exec pytest -m "slow or cluster" -n 2 --dist loadfile \
    tests/test_faults_processes.py tests/test_faults_storage.py tests/test_ray_up.py \
    tests/test_two_nodes.py tests/test_s3.py tests/test_mlflow_server.py tests/test_cluster.py \
    tests/test_status_and_stop.py tests/test_security.py tests/test_bad_input.py "$@"
