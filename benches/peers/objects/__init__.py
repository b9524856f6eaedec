"""Descriptors in, descriptors out. What came is valid until the next is asked for, then the link closes it."""
