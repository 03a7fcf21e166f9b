"""How prompts become token ids, and how generated token ids become answers."""
