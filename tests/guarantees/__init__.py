"""One file for each of the eight guarantees the bus makes; they run as root and as a plain user."""
