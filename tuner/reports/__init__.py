"""What a search found: its tables and its report, rebuilt from the files of its folder."""
