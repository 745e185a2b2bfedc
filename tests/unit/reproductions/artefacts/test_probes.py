"""Data to probe on is checked before anything is trained."""

import pytest

from tests.support.reproducing import plan
from tuner.reproductions.artefacts.probes import check_probe_data
from tuner.text.errors import RequestError


def test_transfer_is_refused_without_data_to_probe_on() -> None:
    planned = plan("itrd-transfer")
    with pytest.raises(RequestError, match="give --probe-data stl10:DIR,tinyimagenet:DIR"):
        check_probe_data(planned)
    planned = plan("itrd-transfer", probe_data=("stl10:nowhere",))
    with pytest.raises(RequestError, match="nowhere"):
        check_probe_data(planned)
