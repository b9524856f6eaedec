"""Python and programs in other languages on one bus."""
