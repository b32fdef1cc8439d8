"""The columns of an order table and the kinds of passes."""
