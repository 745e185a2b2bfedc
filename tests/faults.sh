#!/usr/bin/env bash
# Injects every fault that docs/reliability.md lists, for real, and prints its table.
set -euo pipefail
cd "$(dirname "$0")/.."
exec pytest -m "slow or cluster" \
    tests/test_faults_processes.py tests/test_faults_storage.py tests/test_status_and_stop.py \
    tests/test_cluster.py tests/test_two_nodes.py tests/test_ray_up.py tests/test_s3.py tests/test_mlflow_server.py "$@"
