"""How well a search decides: recorded trainings, and searches replayed on them in seconds."""
