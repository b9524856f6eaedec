"""The tests are a package so that child interpreters can import their roles by name."""
