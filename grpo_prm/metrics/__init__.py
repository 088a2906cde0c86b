"""The metrics that trainers write beside their rollouts, read by training step: one file a source."""
