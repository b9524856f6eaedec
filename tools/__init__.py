"""Tools of the project; tests import them to compare what they make with what is checked in."""
