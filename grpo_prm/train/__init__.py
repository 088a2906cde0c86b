"""A compact λ-GRPO trainer: exact, and short enough to read in one sitting (definitions: λ-GRPO)."""
