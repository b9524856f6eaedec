"""Arrays in, arrays out: copied by the transport, or filled in memory that both ends see."""
