from tests.support.reproducing import artefact_of, results


def test_only_drops_after_which_something_was_gained_are_listed(tmp_path):
    def findings(name, accuracies):
        found = results("itrd-convergence", accuracies, tmp_path / name, data="digits", epochs=2)
        return " ".join(artefact_of(found).findings)

    assert "gained within" not in findings("nothing-finished", {})
    # The second drop is at the end.
    assert "learning rate, after epoch 1: kd +20.00." in findings("kd-finished", {"kd": [40.0]})
