"""Environment variables that configure Ray, MLflow and torch before they are imported.

A variable that the user has set wins.
"""

import logging
import os

_SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AIR_NEW_OUTPUT": "0",  # otherwise Tune prints its own table at any verbosity
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # relative paths mean the same in the driver and in trials
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # Tune rewrites its CSV, JSON, TensorBoard and state files as a whole, which slows the driver
    # down with every trial; the journal replaces them.
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000000",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # interruption.py handles Ctrl-C
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",  # a failed trial reports no accuracy
    # How long a worker waits for a trial's thread to end before it starts the next trial: Tune's
    # default of two seconds is too short on a busy machine.
    "TUNE_FUNCTION_THREAD_TIMEOUT_S": "600",
    "TUNE_WARN_THRESHOLD_S": "60",
    "TUNE_WARN_INSUFFICENT_RESOURCE_THRESHOLD_S": "120",
    # Torch puts large tensors on large pages: fewer page faults, see docs/internals.md.
    "THP_MEM_ALLOC_ENABLE": "1",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    # A tracking server that does not answer must not delay a search by minutes.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
}


def set_library_defaults() -> None:
    """Sets the variables; call it before importing ray or mlflow."""
    for name in ("alembic", "mlflow"):  # they log every table that they create
        logging.getLogger(name).setLevel(logging.ERROR)
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)


def settings_of_workers() -> dict[str, str]:
    """The variables that processes on other machines need; only the driver uses MLflow."""
    return {name: os.environ[name] for name in _SETTINGS if not name.startswith("MLFLOW")}
