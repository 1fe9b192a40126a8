"""What carries a message to a phone: FCM, Web Push, webhooks, a file."""
