"""Every documented bound: accepted at the bound, refused one past it."""
