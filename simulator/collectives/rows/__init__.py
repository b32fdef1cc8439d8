"""Groups of chips as rows of numbers."""
