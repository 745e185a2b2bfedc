"""Says in one sentence why MLflow failed."""

import re
import shlex

from tuner.text.errors import printable
from tuner.text.secrets import shown, without_secrets

# The reason and the remedy, where the server's own words do not say; by a pattern in these words.
REASONS = {
    r"error code 401|UNAUTHENTICATED": "refuses the password: check MLFLOW_TRACKING_USERNAME and "
    "MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN",
    r"password authentication failed": "refuses the password: check it in --tracking-uri",
    r"error code 403|PERMISSION_DENIED|Permission denied": "does not let this user write: ask for "
    "the permission, or choose another --experiment",
    r"CERTIFICATE_VERIFY_FAILED": "has a certificate that is not trusted: set "
    "MLFLOW_TRACKING_SERVER_CERT_PATH to the certificate file of its authority",
    r"Max retries exceeded|Connection refused|Connection aborted|Connection reset|timed out"
    r"|closed the connection|could not translate host name|No route to host|is unreachable"
    r"|error code 50[234]": "does not answer: check that it runs and can be reached",
}
# The packages, by pip's names, of the modules that reach a database.
PACKAGES = {"MySQLdb": "mysqlclient", "psycopg": "psycopg[binary]", "psycopg2": "psycopg2-binary"}


def reason_of(error: Exception, uri: str) -> str:
    """What MLflow at `uri` does wrong: the rest of a sentence, without secrets."""
    if isinstance(error, ModuleNotFoundError) and error.name:
        package = PACKAGES.get(error.name, error.name)
        return f"cannot be used: install its driver with pip install {shlex.quote(package)}"
    text = str(error)
    for pattern, reason in REASONS.items():
        if re.search(pattern, text):
            return reason
    from mlflow.exceptions import MlflowException
    from requests.exceptions import RequestException

    lines = without_secrets(text.replace(uri, shown(uri))).strip().splitlines() or [""]
    line = printable(lines[0][:200])
    if isinstance(error, ConnectionError | TimeoutError | RequestException):
        return f"does not answer: {line}"
    if isinstance(error, MlflowException):
        return f"refuses: {line}"
    return f"cannot be used: {type(error).__name__}: {line}"
