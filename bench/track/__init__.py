"""Records at Weights & Biases, a run a cell, and a dashboard of them. A process of its own talks to it, for so long."""

from bench.track.dashboard import Dashboard, save_dashboard
from bench.track.tracking import Mode, Tracked, chosen_mode, track, wandb_state

__all__ = ["Dashboard", "Mode", "Tracked", "chosen_mode", "save_dashboard", "track", "wandb_state"]
