#compdef virtctl
# SPDX-License-Identifier: LGPL-2.1-or-later
# zsh completion of virtctl, which knows itself what may follow

local -a reply_words
reply_words=("${(@f)$(${words[1]} __complete "${(@)words[2,CURRENT]}" 2>/dev/null)}")
case ${reply_words[1]} in
/file) _files ;;
/folder) _files -/ ;;
?*)
        local -a open closed
        open=(${(M)reply_words:#*=})
        closed=(${reply_words:#*=})
        (( $#open )) && compadd -S '' -a open
        (( $#closed )) && compadd -a closed
        ;;
esac
