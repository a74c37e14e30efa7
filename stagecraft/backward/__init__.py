"""The verb that solves: a sweep over periods, or a fixed point where the horizon has no end."""
