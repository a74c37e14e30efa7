"""Pictures of what was solved, pushed and simulated: policies, profiles, densities."""
