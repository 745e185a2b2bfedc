"""Opens object stores (S3, GCS) with time limits, so that an unreachable one fails in seconds."""

import os
import re
from urllib.parse import parse_qsl, urlsplit

from pyarrow import fs

from tuner.text.errors import RequestError
from tuner.text.secrets import SECRET_NAME, shown

# Three attempts each; what pyarrow opens from a URI retries for minutes.
CONNECT_SECONDS = 5
ANSWER_SECONDS = 10
GCS_SECONDS = 30
_S3_OPTIONS = ("endpoint_override", "region", "scheme", "tls_ca_file_path")
_REASONS = {
    r"NETWORK_CONNECTION|UNAVAILABLE|resolve host": "it does not answer: check address and network",
    r"NO_SUCH_BUCKET|bucket does not exist": "there is no such bucket: create it first",
    r"ACCESS_DENIED|HTTP status 403|INVALID_ACCESS_KEY_ID|INVALID_CLIENT_TOKEN_ID|EXPIRED_TOKEN"
    r"|SIGNATURE_DOES_NOT_MATCH|UNRECOGNIZED_CLIENT|MISSING_AUTHENTICATION": "access is denied: "
    "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
}


def check_no_credentials(location: str) -> None:
    """Raises RequestError for a URI with a credential, as URIs are printed and written to files."""
    place = urlsplit(location)
    # A secret may hold a slash, which ends the URI's network location: a colon remains in front.
    is_key = ":" in place.netloc or (place.scheme == "s3" and "@" in place.netloc)
    options = parse_qsl(place.query, keep_blank_values=True)
    if is_key or any(SECRET_NAME.search(name) or "@" in name + value for name, value in options):
        raise RequestError(
            "the URI contains a credential; leave it out and set AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
        )


def open_store(location: str) -> tuple[fs.FileSystem, str]:
    """The file system of a URI, and the path in it. Raises what pyarrow raises, and ValueError."""
    place = urlsplit(location)
    if place.scheme == "s3":
        return _open_s3(place.netloc, dict(parse_qsl(place.query))), place.netloc + place.path
    if place.scheme in ("gs", "gcs") and "retry_limit_seconds" not in place.query:
        mark = "&" if place.query else "?"
        location = f"{location}{mark}retry_limit_seconds={GCS_SECONDS}"
    return fs.FileSystem.from_uri(location)


def _open_s3(bucket: str, options: dict[str, str]) -> fs.FileSystem:
    unknown = sorted(set(options) - set(_S3_OPTIONS))
    if unknown or not bucket:
        raise ValueError(
            f"unknown option {unknown[0]!r}; known: {', '.join(_S3_OPTIONS)}"
            if unknown
            else "it names no bucket"
        )
    environment = os.environ.get
    names = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
    variable = next((name for name in names if environment(name)), None)
    if variable and "endpoint_override" not in options:
        endpoint = urlsplit(os.environ[variable])
        if endpoint.scheme not in ("http", "https") or not endpoint.netloc:
            raise RequestError(
                f"{variable} is {shown(os.environ[variable])!r}; "
                "write it as https://HOST:PORT or http://HOST:PORT"
            )
        options = {"endpoint_override": endpoint.netloc, "scheme": endpoint.scheme} | options
    region = environment("AWS_REGION") or environment("AWS_DEFAULT_REGION")
    if "region" not in options and (region or "endpoint_override" not in options):
        options["region"] = region or fs.resolve_s3_region(bucket)
    return fs.S3FileSystem(
        **options,
        connect_timeout=CONNECT_SECONDS,
        request_timeout=ANSWER_SECONDS,
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=3),
        allow_delayed_open=True,  # a small object is one request, not three
    )


def reason_of(error: Exception) -> str:
    """Why a store cannot be used, shortened where the store's own message is long."""
    text = str(error)
    found = (reason for pattern, reason in _REASONS.items() if re.search(pattern, text))
    return next(found, text)
