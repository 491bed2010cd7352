"""Receipts of saved exports, and which of them may be deleted."""
