"""`polyview-tools convert` under the name that it had before there was a package: people's scripts call it so."""

import sys

from polyview.tools import main

sys.exit(main(["convert", *sys.argv[1:]]))
