"""``interplay completion``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from interplay.agents import agents
from interplay.envs.data import data_sets
from interplay.envs.mechanisms import mechanisms
from interplay.envs.presets import presets
from interplay.experiments.cli.commands import COMMANDS, module_of
from interplay.experiments.cli.flag_texts import texts_of

_SCRIPT = """{zsh}_interplay() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}}
    if [ "$COMP_CWORD" -eq 1 ]; then
        COMPREPLY=($(compgen -W "{commands}" -- "$word"))
        return
    fi
    case "$before" in
{values}
    esac
    case "$word,${{COMP_WORDS[1]}}" in
{flags}
    *) COMPREPLY=($(compgen -f -- "$word")) ;;
    esac
}}
complete -o filenames -F _interplay interplay
"""
_ZSH = """(( $+functions[compdef] )) || { autoload -Uz compinit && compinit; }
autoload -U +X bashcompinit && bashcompinit
"""


def command(shell: Literal["bash", "zsh"] = "bash") -> None:
    """Print a script by which a shell completes commands, flags and names: eval "$(interplay completion)".

    Args:
        shell: bash or zsh.
    """
    print(script(shell), end="")


def script(shell: str) -> str:
    """The script. Names of agents, presets and so on are those that there are now."""
    return _SCRIPT.format(zsh=_ZSH * (shell == "zsh"), commands=" ".join(COMMANDS),
                          values="\n".join(_cases(_values())), flags="\n".join(_cases(_flags())))


def _values() -> Iterator[tuple[str, list[str]]]:
    """What may follow a word."""
    yield "--preset|--presets", list(presets())
    yield "--users|--items|--platform|--agents|--others|--agent", list(agents())
    yield "--mechanism", list(mechanisms())
    yield "show", [*agents(), *presets(), *mechanisms(), *data_sets()]


def _flags() -> Iterator[tuple[str, list[str]]]:
    """The flags of each command."""
    for name in COMMANDS:
        yield f"-*,{name}", ["--help", *(flag.typed for flag in texts_of(module_of(name)).flags if not flag.positional)]


def _cases(words: Iterator[tuple[str, list[str]]]) -> Iterator[str]:
    """Arms of a case, which offer words."""
    for pattern, choices in words:
        yield f'    {pattern}) COMPREPLY=($(compgen -W "{" ".join(choices)}" -- "$word")); return ;;'
