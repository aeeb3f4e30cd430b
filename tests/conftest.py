"""Shared fixtures live beside the peers they start."""

pytest_plugins = ["tests.peers.dovecot", "tests.peers.postfix", "tests.peers.postgres", "tests.database.setting"]
