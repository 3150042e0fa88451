"""`polyview.torch` under the name that it had before there was a package: people's scripts import it so."""

from polyview.torch import *  # noqa: F403
