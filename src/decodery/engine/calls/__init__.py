"""One call of `generate` or `stream`: what was asked, laid out as rows and opened as runs."""
