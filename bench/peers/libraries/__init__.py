"""One adapter a library; each is imported in the environment of its library only."""
