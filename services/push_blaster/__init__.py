"""Push automations: who gets which push sequence, when."""
