"""What many steps need: filters that keep enough, state that follows its rows."""
