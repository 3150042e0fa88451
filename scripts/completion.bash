# shellcheck shell=bash
# Completes polyview's commands, options and their choices in bash, and after --set a config's keys and theirs.  All of it is
# read from the program's own help.

_polyview() {
    _polyview_help() { "$program" help "$@" 2>/dev/null; }
    local program=${1/#\~/$HOME} command=${COMP_WORDS[1]} words=""
    local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} key=""
    if [ "$current" = = ]; then
        key=$before current="" # --set KEY=
    elif [ "$before" = = ]; then
        key=${COMP_WORDS[COMP_CWORD - 2]} # --set KEY=V
    fi
    if [ "$COMP_CWORD" = 1 ] || [ "$COMP_CWORD$command" = 2help ]; then
        words=$(_polyview_help | sed -n 's/^  \([a-z]*\)  .*/\1/p')
        [ "$command" = help ] && words="$words config"
    elif [ -n "$key" ]; then
        words=$(_polyview_help config | sed -n "s/^  $key  *\(choice\|boolean\): \(.*\) (.*/\2/p" | tr -d ,)
    elif [ "$before" = --set ]; then
        words=$(_polyview_help config | sed -n 's/^  \([a-z_.]*\)  *[a-z ]*: .*/\1=/p')
        compopt -o nospace
    elif [[ $before == -* && $current != -* ]]; then
        words=$(_polyview_help "$command" | sed -n "s/^  $before \([^ ]*|[^ ]*\).*/\1/p" | tr '|' ' ')
    elif [[ $current == -* ]]; then
        words="--help --quiet --verbose $(_polyview_help "$command" | sed -n 's/^  \(--*[a-z-]*\).*/\1/p')"
    elif [ "$COMP_CWORD" = 2 ]; then # of a group of commands
        words=$(_polyview_help "$command" | sed -n "s/^usage: polyview $command \([a-z]*\) .*/\1/p")
    fi
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current" | sort -u)
}
complete -o default -F _polyview polyview
