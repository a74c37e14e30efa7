"""What one stage says: its equations, controls, choices, shocks and values."""
