"""decodery's demonstration language model: a small decoder in plain torch, its tokenizer and its weights."""
