"""Folders of videos over many workers: Ray Data hands them out, a ledger remembers which are done."""
