"""`completion` and `man`: what shells and `man` are given, made of the same tree of commands as
`--help` and the manual."""

from typing import Annotated, Final, Literal

import typer

from appliance.cli_options import AsJson

PROGRAM: Final = "helicone-appliance"
COMPLETE: Final = "_HELICONE_APPLIANCE_COMPLETE"  # as typer asks for it


def completion(
    shell: Annotated[
        Literal["bash", "zsh", "fish"], typer.Argument(metavar="SHELL", help="bash, zsh or fish.")
    ],
    as_json: AsJson = False,
) -> None:
    """Print what makes a shell complete commands and options: into its start-up file.

    Example: helicone-appliance completion bash > ~/.local/share/bash-completion/completions/helicone-appliance
    """  # noqa: E501 - it is one line to copy
    from typer._completion_shared import get_completion_script

    script = get_completion_script(prog_name=PROGRAM, complete_var=COMPLETE, shell=shell)
    _print_text({"shell": shell, "script": script}, script, as_json)


def answer_shells() -> None:
    """Let typer answer what could stand there. Our help has no markup, which it would load Rich's
    Markdown for to take off: the frozen program does without that."""
    from typer import _completion_classes as answers

    answers._sanitize_help_text = lambda text: text
    answers.completion_init()


def man(as_json: AsJson = False) -> None:
    """Print the man page: of all commands and options.

    Example: helicone-appliance man > helicone-appliance.1
    """
    from appliance.cli import app
    from appliance.man_page import man_page

    page = man_page(typer.main.get_command(app))
    _print_text({"page": page}, page, as_json)


def _print_text(told: dict[str, str], text: str, as_json: bool) -> None:
    if as_json:
        from appliance.output_lines import print_value

        print_value(told, as_json=True)
    else:
        print(text)
