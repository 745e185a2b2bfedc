"""Keys of the results that a trial reports to its scheduler."""

FAILURE = "failed"  # in a result: why the trial cannot continue
NOTES = "notes"  # in a result: sentences for the user
OUT_OF_MEMORY = "out_of_memory"  # in a result: a whole GPU may help
STORAGE = "storage"  # in a result: the storage failed, which ends the search but not the trial


def record_name(trial_id: str) -> str:
    """The record's name for one of Tune's trials, whose id has a suffix after a restart."""
    return trial_id.partition("+")[0]
