"""Settings of Ray, MLflow and torch that can only be given through the environment.

Set before any of them is imported; what a person has set wins.
"""

import logging
import os

_SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AIR_NEW_OUTPUT": "0",  # else Tune prints a table of its own, whatever the verbosity
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # relative paths mean what they mean for the driver
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # Tune's CSV, JSON and TensorBoard files and its state file, rewritten whole, slow the
    # driver down with every trial; the journal takes their place.
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000000",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C is ours, see interruption.py
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",  # a failed trial reports no accuracy
    # How long a worker waits for a trial's thread to end before the next begins in it: on a
    # busy machine two seconds, Tune's default, are too few.
    "TUNE_FUNCTION_THREAD_TIMEOUT_S": "600",
    "TUNE_WARN_THRESHOLD_S": "60",
    "TUNE_WARN_INSUFFICENT_RESOURCE_THRESHOLD_S": "120",
    # Torch's large tensors on large pages: fewer faults, see docs/internals.md.
    "THP_MEM_ALLOC_ENABLE": "1",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    # A tracking server that is gone must not hold a search up for minutes.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
}


def set_library_defaults() -> None:
    """Applies the settings; call it before importing ray or mlflow."""
    for name in ("alembic", "mlflow"):  # they tell of every table that they make
        logging.getLogger(name).setLevel(logging.ERROR)
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)


def settings_of_workers() -> dict[str, str]:
    """What processes on other machines need of them; MLflow is the driver's business."""
    return {name: os.environ[name] for name in _SETTINGS if not name.startswith("MLFLOW")}
