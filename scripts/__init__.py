"""Commands for people: bring the system up, demonstrate it, prepare data."""
