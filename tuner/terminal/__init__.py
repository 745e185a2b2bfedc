"""What a search prints: live view, dry run, progress, outcome."""
