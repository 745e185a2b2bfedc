"""Stores what a search does and finds: trials, journal, record, tables, ledger, heartbeat."""
