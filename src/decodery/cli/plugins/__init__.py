"""`decodery plugins`, a file a command: what pip installed, what each plugin provides, whether it works, a new one."""
