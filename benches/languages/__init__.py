"""How many messages a second pass between programs in different languages, beside two in Python."""
