# SPDX-License-Identifier: MIT
# What zsh adds when Tab is pressed behind each of the words given: FOLDER has _octet, as an installed one.
# usage: zsh -f zsh_completes.zsh FOLDER TYPED...; prints "TYPED<tab>WORD" a line
zmodload zsh/zpty
export ZDOTDIR=$(mktemp -d /tmp/octet-zsh-XXXXXX) OCTET_FOLDER=$1
trap 'rm -rf $ZDOTDIR' EXIT
cat >$ZDOTDIR/.zshrc <<'RC'
PS1= PS2= RPS1=
fpath=($OCTET_FOLDER $fpath)
autoload -Uz compinit && compinit -D -u
setopt no_auto_list no_auto_menu no_beep
bindkey -e
bindkey '^I' complete-word
compadd() {
    if [[ ${@[1,(i)(-|--)]} == *-(O|A|D)\ * ]]; then builtin compadd "$@"; return; fi
    local -a hits
    builtin compadd -A hits "$@"
    (($#hits)) && print -rl -- $hits >>$ZDOTDIR/words
    builtin compadd "$@"
}
: >$ZDOTDIR/ready
RC
rm -f $ZDOTDIR/ready
zpty shell zsh -i
repeat 600; do [[ -e $ZDOTDIR/ready ]] && break; sleep 0.05; done
for typed in "${@[2,-1]}"; do
    rm -f $ZDOTDIR/words
    zpty -w -n shell $'\C-U'"$typed"$'\t'
    repeat 200; do [[ -s $ZDOTDIR/words ]] && break; sleep 0.02; done
    sleep 0.05
    [[ -e $ZDOTDIR/words ]] && while read -r word; do print -r -- "$typed"$'\t'"$word"; done <$ZDOTDIR/words
done
zpty -d shell
true
