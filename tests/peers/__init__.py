"""Real and scripted servers that tests talk to."""
