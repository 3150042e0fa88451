"""`polyview-tools plot` under the name that it had before there was a package: people's scripts call it so."""

import sys

from polyview.tools import main

sys.exit(main(["plot", *sys.argv[1:]]))
