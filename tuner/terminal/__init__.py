"""What a search prints: the live view, the dry run, its progress, its outcome."""
