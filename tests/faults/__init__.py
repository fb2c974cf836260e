"""Faults on a real cluster under load: ``make faults``."""
