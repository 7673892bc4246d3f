"""`decodery recipe`: a file a command, without a model and without torch. `arguments.py` has what each takes."""
