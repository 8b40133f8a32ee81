"""`epochal completion`: a script that completes command lines in bash, zsh or fish."""

from __future__ import annotations

from dataclasses import MISSING, dataclass, replace

from epochal.cli.completion_scripts import SHELLS
from epochal.config.options import choice, option


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletionCommand:
    """Print a script that lets your shell complete commands, options and names when you press Tab.

    Example: epochal completion bash

    Bash: put eval "$(epochal completion bash)" into ~/.bashrc.

    Zsh: put eval "$(epochal completion zsh)" into ~/.zshrc, after compinit.

    Fish: put epochal completion fish | source into ~/.config/fish/config.fish.
    """

    shell: str = option(
        MISSING, "Your shell: bash, zsh or fish.", replace(choice(*SHELLS), metavar="SHELL"), positional=True
    )

    def execute(self) -> int:
        """Print the script."""
        from epochal.cli.completion_scripts import Completed
        from epochal.cli.main import COMMANDS, find_command
        from epochal.words.phrases import translate

        commands = [Completed.of(name, translate(about), find_command(name)) for name, about in COMMANDS.items()]
        print(SHELLS[self.shell](commands), end="")
        return 0
