"""The plugin in the box, laid out as any other plugin's package would be."""
