"""Runs the pages of the documentation as a reader would, and checks the site that is built of them."""
