"""`decodery chat`: a conversation with a model, message by message."""
