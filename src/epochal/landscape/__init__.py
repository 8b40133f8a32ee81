"""The loss landscape: planes through weight space, losses on them, and the trajectories of runs."""
