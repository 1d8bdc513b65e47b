# Completion of freshet's command line for bash, and for zsh through bashcompinit.
# `freshet completion bash` prints this file with the table of commands and options in front:
#
#     _freshet_commands   "get:" "consumers:list" …     topic:verb
#     _freshet_options    "--from:latest earliest snapshot:watch consumers/put" "--json:=:get" …
#                         option:words, = for a flag:commands

# The command's options; with $2 the words of that one: = for a flag, none for free text.
_freshet_options_of() {
    local row name words commands
    for row in "${_freshet_options[@]}"; do
        IFS=: read -r name words commands <<<"$row"
        if [[ " $commands " == *" $1 "* ]]; then
            if [ -z "$2" ]; then
                echo "$name"
            elif [ "$2" = "$name" ]; then
                echo "$words"
            fi
        fi
    done
}

# All topics; with $1 the verbs of that one.
_freshet_commands_of() {
    local row last=
    for row in "${_freshet_commands[@]}"; do
        if [ -z "$1" ]; then
            [ "${row%%:*}" = "$last" ] || echo "${row%%:*}"
            last=${row%%:*}
        elif [ "${row%%:*}" = "$1" ]; then
            echo "${row#*:}"
        fi
    done
}

_freshet_offer() {
    local word
    while IFS= read -r word; do
        COMPREPLY+=("$word")
    done < <(compgen "$@")
}

# Names after --from, --from= and @, wherever COMP_WORDBREAKS splits them.
_freshet_value() {
    local before=$1 current=$2 words
    if [ "$before" = @ ]; then
        _freshet_offer -f -- "$current"
    elif [ "$current" = @ ]; then
        _freshet_offer -f --
    elif [[ $current == @* ]]; then
        for words in $(compgen -f -- "${current#@}"); do
            COMPREPLY+=("@$words")
        done
    elif [[ $current == --*=* ]]; then
        words=$(_freshet_options_of "$command" "${current%%=*}")
        for words in $(compgen -W "$words" -- "${current#*=}"); do
            COMPREPLY+=("${current%%=*}=$words")
        done
    else
        words=$(_freshet_options_of "$command" "$before")
        if [[ $before != --* || $words == = ]]; then
            return 1
        fi
        [ -z "$words" ] || _freshet_offer -W "$words" -- "$current"
    fi
}

_freshet() {
    local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}
    local command=${COMP_WORDS[1]} verb=${COMP_WORDS[2]} verbs
    COMPREPLY=()
    verbs=$(_freshet_commands_of "$command")
    if [ "$COMP_CWORD" -eq 1 ] || [ "$command" = help ]; then
        _freshet_offer -W "$(_freshet_commands_of "")" -- "$current"
        return
    elif [ "$COMP_CWORD" -eq 2 ] && [ -n "$verbs" ]; then
        _freshet_offer -W "$verbs" -- "$current"
        return
    elif [ "$command" = completion ]; then
        _freshet_offer -W "bash zsh" -- "$current"
        return
    elif [ "$COMP_CWORD" -gt 2 ] && [ -n "$verbs" ]; then
        command=$command/$verb
    fi
    if [ "$current" = "=" ]; then
        current=
    elif [ "$before" = "=" ]; then
        before=${COMP_WORDS[COMP_CWORD-2]}
    fi
    case $command in
    serve | check | bench/filter) # these keep their options themselves
        if [[ $current == -* ]]; then
            _freshet_offer -W "$("${COMP_WORDS[0]}" "${COMP_WORDS[1]}" ${verbs:+"$verb"} --help |
                grep -o '^  --[a-z0-9-]*')" -- "$current"
        else
            _freshet_offer -f -- "$current"
        fi
        ;;
    *)
        if _freshet_value "$before" "$current"; then
            return
        elif [[ $current == -* ]]; then
            _freshet_offer -W "$(_freshet_options_of "$command" "")" -- "$current"
        elif [ "$command" = bench/run ]; then
            _freshet_offer -f -- "$current"
        fi
        ;;
    esac
}

complete -F _freshet freshet
