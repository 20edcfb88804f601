# Prints zsh's candidates for the line $2 with the completion functions in directory $1, one on each line.
# A second zsh on a pseudo terminal completes; its `compadd` is replaced by a function that prints the candidates.
zmodload zsh/zpty
zpty shell zsh -f -i
take() { local line; while zpty -r shell line; do [[ $line == *"$1"* ]] && return 0; done; return 1 }
zpty -w shell "PS1= ; unsetopt zle_bracketed_paste; fpath=($1 \$fpath); autoload -Uz compinit; compinit -u -D"
zpty -w shell '
compadd() {
  if [[ ${@[1,(i)(-|--)]} == *-(O|A|D)\ * ]]; then builtin compadd "$@"; return $?; fi
  local -a __offered; builtin compadd -O __offered "$@"
  local __one; for __one in $__offered; print -r -- "<$__one>"
  builtin compadd "$@"
}
done-completing() { print -r -- "candidates-end" }
show() { comppostfuncs=(done-completing); print; print -r -- "candidates-begin"; zle complete-word }
zle -N show; bindkey "^I" show; stty -echo
print setup-"done"'
take setup-done
zpty -w -n shell "$2"$'\t'
take candidates-begin
while zpty -r shell line; do
  [[ $line == *candidates-end* ]] && break
  [[ $line =~ '<(.*)>' ]] && print -r -- $match[1]
done
zpty -d shell
