"""Simulators of chips that others wrote, each in an environment of its own."""
