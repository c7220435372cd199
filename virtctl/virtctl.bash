# SPDX-License-Identifier: LGPL-2.1-or-later
# bash completion of virtctl

_virtctl() {
        local word=${COMP_WORDS[COMP_CWORD]} verb= bus= i
        local verbs="list status define undefine export rename enable disable start stop reboot reset kill suspend resume console plan leases lockspaces add-lockspace remove-lockspace networks define-network undefine-network export-network start-network stop-network enable-network disable-network network-leases add-host remove-host port-forwards add-port-forward remove-port-forward"
        local options="--user --system --json= --no-wait --timeout= --force --live --secrets --validate --quiet --help --version"

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
        elif [[ $verb == define || $verb == define-network ]]; then
                mapfile -t COMPREPLY < <(compgen -f -- "$word")
        elif [[ $verb == leases || $verb == remove-lockspace ]]; then
                mapfile -t COMPREPLY < <(compgen -W "$(virtctl $bus -q lockspaces 2>/dev/null | awk 'NR > 1 { print $1 }')" -- "$word")
        elif [[ $verb == *-network || $verb == network-* || $verb == *-host || $verb == *port-forward* ]]; then
                mapfile -t COMPREPLY < <(compgen -W "$(virtctl -q networks 2>/dev/null | awk 'NR > 1 { print $1 }')" -- "$word")
        elif [[ $verb == add-lockspace ]]; then
                mapfile -t COMPREPLY < <(compgen -d -- "$word")
        else
                mapfile -t COMPREPLY < <(compgen -W "$(virtctl $bus -q list 2>/dev/null | awk 'NR > 1 { print $1 }')" -- "$word")
        fi
}
complete -F _virtctl virtctl
