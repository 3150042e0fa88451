#!/usr/bin/env bash
# usage: scripts/man-pages.sh POLYVIEW DIRECTORY
#
# Writes the pages of the manual: polyview(1), one of every command, and polyview-config(5).  They are what --help prints, which
# comes from the option rows.
set -eu
polyview=$1 directory=$2
mkdir -p "$directory"
version=$("$polyview" --version)

# page NAME SECTION "WHAT IT IS", of the help on standard input
page() {
    awk -v name="$1" -v section="$2" -v what="$3" -v version="$version" '
        function escaped(text) {
            gsub(/\\/, "\\e", text)
            gsub(/-/, "\\-", text)
            return text ~ /^[.\x27]/ ? "\\&" text : text
        }
        BEGIN {
            printf ".TH %s %s \"\" \"%s\"\n", toupper(name), section, version
            printf ".SH NAME\n%s \\- %s\n%s", name, escaped(what), section == 5 ? ".SH DESCRIPTION\n" : ""
        }
        END { print ".SH SEE ALSO\n.BR polyview (1),\n.BR polyview-config (5)" }
        /^usage: / { # to the next empty line; a group of commands has several
            print(usages++ ? ".SS" : ".SH SYNOPSIS\n.nf")
            sub(/^usage: /, "")
            used = 1
        }
        /^$/ {
            print(used && usages == 1 ? ".fi\n.SH DESCRIPTION" : ".PP")
            used = 0
            next
        }
        used { sub(/^ +/, "    "); print escaped($0); next }
        /^  [^ ]/ { # a row: its name, and what it means where that fits beside it
            sub(/^  /, "")
            at = match($0, /   */)
            print ".TP\n.B " escaped(at ? substr($0, 1, at - 1) : $0)
            if (at) print escaped(substr($0, at + RLENGTH)) (section == 5 ? "\n.br" : "")
            next
        }
        /^   / { sub(/^ +/, ""); print escaped($0) (section == 5 ? "\n.br" : ""); next }
        /^--|^ ?[a-z.]+: / { print ".SS " escaped($0); next }
        { print escaped($0) }
    ' >"$directory/$1.$2"
}

"$polyview" help config | page polyview-config 5 "the keys of a config file"
commands=$("$polyview" help | sed -n 's/^  \([a-z]*\)  *\(.*\)/\1 \2/p' | grep -v '^help ')
while read -r command what; do
    "$polyview" help "$command" | page "polyview-$command" 1 "$what"
done <<<"$commands"
"$polyview" help | sed 1,2d | page polyview 1 "fits neural views of signals and trains weight-space networks on them"
