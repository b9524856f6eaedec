"""Runs the guarantees and the faults once more without root's privileges."""
