# SPDX-License-Identifier: LGPL-2.1-or-later
# bash completion of virtctl

_virtctl() {
        local word=${COMP_WORDS[COMP_CWORD]} verb= bus= i
        local verbs="$(virtctl --help 2>/dev/null | awk '/^Verbs:/ { on = 1; next } /^$/ { on = 0 } on { print $1 }')"
        local options="--user --system --json= --no-wait --timeout= --force --live --config --secrets --kind= --domain --groups= --validate --quiet --help --version"

        for ((i = 1; i < COMP_CWORD; i++)); do
                case ${COMP_WORDS[i]} in
                --user) bus=--user ;;
                -*) ;;
                *) verb=${verb:-${COMP_WORDS[i]}} ;;
                esac
        done
        if [[ $word == -* ]]; then
                mapfile -t COMPREPLY < <(compgen -W "$options" -- "$word")
        elif [[ -z $verb ]]; then
                mapfile -t COMPREPLY < <(compgen -W "$verbs" -- "$word")
        elif [[ $verb == define || $verb == define-* ]]; then
                mapfile -t COMPREPLY < <(compgen -f -- "$word")
        elif [[ $verb == leases || $verb == remove-lockspace ]]; then
                mapfile -t COMPREPLY < <(compgen -W "$(virtctl $bus -q lockspaces 2>/dev/null | awk 'NR > 1 { print $1 }')" -- "$word")
        elif [[ $verb == *-network || $verb == network-* || $verb == *-host || $verb == *port-forward* ]]; then
                mapfile -t COMPREPLY < <(compgen -W "$(virtctl -q networks 2>/dev/null | awk 'NR > 1 { print $1 }')" -- "$word")
        elif [[ $verb == *-pool || $verb == volumes || $verb == *-volume || $verb == *-format ]]; then
                mapfile -t COMPREPLY < <(compgen -W "$(virtctl $bus -q pools 2>/dev/null | awk 'NR > 1 { print $1 }')" -- "$word")
        elif [[ $verb == *-secret ]]; then
                mapfile -t COMPREPLY < <(compgen -W "$(virtctl $bus -q secrets 2>/dev/null | awk 'NR > 1 { print $1 }')" -- "$word")
        elif [[ $verb == capabilities ]]; then
                mapfile -t COMPREPLY < <(compgen -W "emulator= arch= machine= type=" -- "$word")
        elif [[ $verb == host || $verb == host-devices ]]; then
                COMPREPLY=()
        elif [[ $verb == add-lockspace ]]; then
                mapfile -t COMPREPLY < <(compgen -d -- "$word")
        else
                mapfile -t COMPREPLY < <(compgen -W "$(virtctl $bus -q list 2>/dev/null | awk 'NR > 1 { print $1 }')" -- "$word")
        fi
}
complete -F _virtctl virtctl
