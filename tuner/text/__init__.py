"""Error messages, redaction of secrets, numbers and durations as text."""
