"""What a search found: trials, journal, record, tables, ledger, heartbeat."""
