"""`polyview.store` under the name that it had before there was a package: people's scripts import it so."""

from polyview.store import *  # noqa: F403
