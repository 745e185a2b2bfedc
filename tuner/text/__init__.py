"""Errors, redaction of secrets, durations and numbers as text."""
