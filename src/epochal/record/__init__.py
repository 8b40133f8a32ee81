"""What a run left, read without JAX: its rows, its `run.toml`, its checkpoints."""
