from tests.support.reproducing import artefact_of, results, table_named
from tuner.reproductions.artefacts import relative_cost
from tuner.training.step_cost import Cost

COST = Cost(num_parameters=1, buffer_bytes=1, batch_size=8, step_seconds=0.1, peak_bytes=10**8)


def test_where_itrd_does_not_fit_the_others_have_a_time_but_no_ratio(tmp_path, monkeypatch):
    def cost_within(results, variant, cap_bytes):
        return COST if variant.method == "kd" else None

    monkeypatch.setattr(relative_cost, "cost_of", lambda *_: COST)
    monkeypatch.setattr(relative_cost, "cost_within", cost_within)
    monkeypatch.setattr(relative_cost, "machine_of", lambda _: "a CPU")
    artefact = artefact_of(results("itrd-cost", {}, tmp_path, data="digits"))
    rows = {row[0]: row for row in table_named(artefact, "cost").rows}
    assert rows["kd"][-3:] == ["–", "8", "80"]
    assert rows["itrd"][-3:] == ["does not fit", "–", "–"]
    assert artefact.findings[-1] == (
        "No batch fits within the cap with itrd, reviewkd, crcd, hsakd, crd."
    )
