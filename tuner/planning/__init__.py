"""What a search trains and when. No Ray here."""
