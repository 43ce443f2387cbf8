"""The command line `rpt`. Heavy packages are imported inside the commands, so that `--help` is quick."""

from __future__ import annotations

import os
import sys

from cyclopts import App

from data_contracts.failure import Exit, Failure
from flows.cli import development, keeping, looking, planning, preparing, running, server
from flows.commands.index import index
from flows.commands.supply import audit, sbom
from flows.compare.command import compare
from flows.labels.commands import labels
from flows.terminal.output import out
from flows.workspace import ROOT, STATE

app = App(
    name="rpt",
    version="0.1.0",
    help=(
        "Retrieval-pretrained language models: from raw text to trained, evaluated models.\n\nStart with"
        " `./rpt demo`."
    ),
    version_flags=["--version"],
    suppress_keyboard_interrupt=False,
)
app.register_install_completion_command(
    help=(
        "Complete commands and options at TAB: write a script for bash, zsh or fish and name it in the"
        " shell's startup file."
    )
)
app.command(running.demo)
app.command(development.test)
app.command(development.lint)
app.command(running.run)
app.command(running.watch)
app.command(preparing.new)
app.command(keeping.gc)
app.command(preparing.use_lm)
app.command(planning.plan)
app.command(looking.status)
app.command(looking.doctor)
app.command(looking.verify)
app.command(looking.batch)
app.command(looking.report_, name="report")
app.command(looking.generate)
app.command(looking.explore, usage="Usage: rpt explore [CORPUS] [OPTIONS]")
app.command(keeping.ledger)
app.command(index)
app.command(labels)
app.command(compare)
app.command(sbom)
app.command(audit)
app.command(server.up)
app.command(server.down)
app.command(server.env)
app.command(preparing.config)
app.command(preparing.inventory)
app.command(development.bench)
app.command(keeping.results)
app.command(keeping.weights)


@app.command
def docs() -> int:
    """Write the generated pages again: docs/files.md, docs/commands.md, docs/report.schema.json and
    docs/results.md.

    Example: `./rpt docs`
    """
    from flows.commands.documentation import write_pages

    changed = write_pages(app)
    out("\n".join(changed) or "nothing to change")
    return Exit.DONE


def main() -> None:
    """Run the command line; a Failure becomes three lines, in which nothing that it quotes can act, and its
    exit code.
    """
    os.chdir(ROOT)
    if not {"--help", "-h", "--version"} & set(sys.argv):  # who only asks finds the checkout as it was
        STATE.mkdir(mode=0o700, exist_ok=True)
    try:
        code = app(result_action="return_value")
    except Failure as failure:
        from reports.html.markup import visible

        sys.stderr.write(
            visible(f"error: {failure.what}\n  cause:  {failure.cause}\n  remedy: {failure.remedy}\n")
        )
        code = failure.code
    except BrokenPipeError:  # such as `rpt labels stats | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = Exit.DONE
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; run the same command again to go on\n")
        code = Exit.INTERRUPTED
    sys.exit(int(code or 0))
