"""Tests of the interface from inside one process: arguments, values, codecs, and what must not drift apart."""
