"""What a search has done so far, on disk: journal, record, tables, ledger, heartbeat."""
