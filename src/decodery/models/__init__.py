"""Any torch model as a session: adapters (a file each), detection, and what they share."""
