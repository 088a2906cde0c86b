"""The logs of Quokka, a trainer that does not exist: an example of how grpo-prm learns to read another one."""
