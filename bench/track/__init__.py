"""Records at Weights & Biases, a run a cell. A process of its own writes and sends them, within a time limit."""

from bench.track.tracking import Mode, Tracked, chosen_mode, track, wandb_state

__all__ = ["Mode", "Tracked", "chosen_mode", "track", "wandb_state"]
