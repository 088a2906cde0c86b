"""Built-in tasks with a verifiable reward, one a file: prompts, demonstrations for a warm start, reward."""
