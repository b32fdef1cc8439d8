"""Fits constants to measurements: a reader of what was measured, curves through it, constants of closed forms."""
