"""Keys of the results that a trial reports to its scheduler."""

FAILURE = "failed"  # in a result: why the trial cannot go on
NOTES = "notes"  # in a result: sentences for the user
OUT_OF_MEMORY = "out_of_memory"  # in a result: a GPU of its own may help
STORAGE = "storage"  # in a result: the storage failed, so the search must end, the trial not


def record_name(trial_id: str) -> str:
    """The name in the record of one of Tune's trials; one that is run again alone has a suffix."""
    return trial_id.partition("+")[0]
