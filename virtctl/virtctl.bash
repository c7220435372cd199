# SPDX-License-Identifier: LGPL-2.1-or-later
# bash completion of virtctl, which knows itself what may follow

_virtctl() {
        local line=${COMP_LINE:0:COMP_POINT} words word cut reply

        # bash takes "--json=sh" and "a:b" for several words; virtctl and its users don't.
        read -ra words <<<"$line"
        [[ $line == *[[:space:]] ]] && words+=("")
        word=${words[-1]}
        mapfile -t reply < <("${words[0]}" __complete "${words[@]:1}" 2>/dev/null)
        case ${reply[0]-} in
        /file | /folder)
                compopt -o filenames 2>/dev/null
                [[ ${reply[0]} == /folder ]] && mapfile -t COMPREPLY < <(compgen -d -- "$word") || mapfile -t COMPREPLY < <(compgen -f -- "$word")
                return
                ;;
        esac
        # Only what is behind the last break is replaced.
        cut=${word%"${COMP_WORDS[COMP_CWORD]}"}
        [[ ${COMP_WORDS[COMP_CWORD]} == [=:] ]] && cut=$word
        COMPREPLY=("${reply[@]#"$cut"}")
        [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace 2>/dev/null
        return 0
}
complete -F _virtctl virtctl
