"""The plugin host: finds what pip installed, imports only what is asked for, survives what is broken."""
