"""The benches: that they run, count only what arrived as it was sent, and say what they found."""
