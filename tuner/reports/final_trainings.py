"""The final trainings of searches, which reports compare: by setting, and those of the winner."""

from collections.abc import Iterable, Sequence

from search_spaces import Setting
from tuner.reports.statistics import validation_mean
from tuner.results.record import Record
from tuner.results.trial import FINAL, PLAIN, PUBLISHED, SEARCH, TUNED, Trial, varied_names
from tuner.text.formatting import setting_text

SELECTED_ON_TEST = (
    "Settings were selected on the test set (the papers' protocol), so these test accuracies are"
    " optimistic and not comparable with those of a search that holds the test set back."
)


def finals_of(record: Record, label: str) -> list[Trial]:
    """The final trainings of one setting, finished or not."""
    return [trial for trial in record.trials_of(FINAL) if trial.setting_label == label]


def winners_finals(record: Record) -> list[Trial]:
    """The final trainings of the setting that is handed out: of tuned and published, the better.

    Better by the mean validation accuracy of the final trainings: the search's own values are
    those of one seed, and the tuned setting's is the largest of many.
    """
    tuned, published = finals_of(record, TUNED), finals_of(record, PUBLISHED)
    if any(trial.ended is None for trial in tuned):
        return tuned  # not known yet
    return max(filter(None, (tuned, published)), key=validation_mean, default=[])


def plain_finals(records: Iterable[Record]) -> list[Trial]:
    """One plain training per seed, from the first search that finished it.

    The searches of a comparison share them: later ones import what the first has trained.
    """
    by_seed: dict[int, Trial] = {}
    for record in records:
        for trial in finals_of(record, PLAIN):
            known = by_seed.get(trial.seed)
            if known is None or not known.is_full_length:
                by_seed[trial.seed] = trial
    return list(by_seed.values())


def num_finished(trials: Sequence[Trial]) -> int:
    """How many ran to their last epoch."""
    return sum(trial.is_full_length for trial in trials)


def winners_setting(record: Record) -> Setting:
    """The winner's hyperparameters that trials vary or the user pinned."""
    trials = winners_finals(record)
    setting = trials[0].setting if trials else {}
    others = [*finals_of(record, PUBLISHED), *record.trials_of(SEARCH)]
    varied = varied_names([setting, *(trial.setting for trial in others)])
    return {name: value for name, value in setting.items() if name in varied and value is not None}


def published_won(record: Record) -> bool:
    """Whether the published setting is handed out."""
    trials = winners_finals(record)
    return bool(trials) and trials[0].setting_label == PUBLISHED


def winner_text(setting: Setting, *, is_published: bool) -> str:
    """A winner's setting as a table's cell."""
    text = setting_text(setting)
    if not is_published:
        return text
    return f"{text} (published)" if text else "as published"
