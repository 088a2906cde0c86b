"""λ-GRPO weights, live figures and recorded rollouts inside the trainers that people run, one file a framework."""
