"""What people decide: automations, templates, experiments."""
