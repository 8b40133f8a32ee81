"""What people read, in every language: sentences by key, English phrases with their translations, and the choice."""
