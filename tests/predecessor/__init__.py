"""What is known to go wrong in designs like this one, each shown not to go wrong here."""
