"""Deaths, stops, strangers and exhausted limits; they run as root and as a plain user."""
