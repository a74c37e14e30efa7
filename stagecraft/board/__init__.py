"""The bare graph of perches and movers: its orders, how it runs, and how it is drawn."""
