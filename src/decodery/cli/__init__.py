"""The command line. Results go to stdout, talk to stderr; a failure is one message and an exit code."""
