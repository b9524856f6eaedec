"""Properties that hold for any value: it arrives equal in another process, in memory that is what it is said to be."""
