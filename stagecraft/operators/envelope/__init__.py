"""The upper envelope of a policy that bends back: its runs, and where they cross."""
