"""What the plugin declares, free of torch."""
