"""What gpg says, read strictly: its status lines, and its listings of keys."""
