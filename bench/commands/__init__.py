"""The commands, by what they are about. Nothing heavy is imported before one of them runs."""
