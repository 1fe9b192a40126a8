"""Change, check, control and list automations."""
