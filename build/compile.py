"""Hatch's build hook: puts the modules that matter into the wheel a second time, compiled by mypyc.

Without a C compiler the wheel has the plain sources alone. HELICONE_APPLIANCE_COMPILE=0 asks for
that; 1 makes it a failure that something could not be compiled. pip shows neither:
`helicone-appliance version` says which it is.
"""

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

VARIABLE = "HELICONE_APPLIANCE_COMPILE"
UI_VARIABLE = "HELICONE_APPLIANCE_UI"  # 0: nothing is fetched with npm, and there are no pages
MADE = ("built", "vendor")
# What runs for every request and every record. Modules that need not be fast stay out: each costs a
# newcomer up to a second. So do those with msgspec's classes, whose options mypyc drops. What else
# it makes of Python without a word: scripts/tidy.py, tests/compiled.
MODULES = {
    "appliance": "exchange fence house pipeline pipeline_gateway wire",
    "appliance/door": "http1 visit head listener sweeper",
    "appliance/upstream": "http1 pool",
    "appliance/features": (
        "admit aim answer cache call deadlines gateway gateway_turns lend limit mapped pay relay "
        "retry tap"
    ),
    "appliance/actors": "recorder metrics ingest frame_rows recent region",
    "appliance/core": (
        "access asks attempts chunked credentials derive estimate facts filters framing headers "
        "ids json_reader keys logged model_name money otlp_messages otlp_span otlp_wire "
        "price_card prices protobuf reply sse terminal text_tokens urls usage_types"
    ),
    "appliance/core/usage": "anthropic counts gemini generic openai",
    "storage": (
        "arrow_block backlog batch columns drain frames journal reader segment spool trouble writer"
    ),
}
PATHS = [f"{folder}/{name}.py" for folder, names in MODULES.items() for name in names.split()]
# Level 2 takes a third more of the compiler and gains nothing that could be measured; 3 neither.
OPTIMIZATION = "1"


class CompileHook(BuildHookInterface[Any]):
    """`place` holds the extension modules until they are in the wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        wanted = os.environ.get(VARIABLE, "")
        if os.environ.get(UI_VARIABLE) != "0":
            self._make_ui(build_data, in_tree=version == "editable")
        if version == "editable" or wanted == "0":
            return
        self._place = tempfile.TemporaryDirectory(prefix="helicone-appliance-")
        place = Path(self._place.name)
        problem = missing_tool() or self._compile(place)
        if not problem:
            built = {str(path): str(path.relative_to(place)) for path in place.rglob("*.so")}
            build_data["force_include"].update(built)
            build_data.update(pure_python=False, infer_tag=True)
        elif wanted == "1":
            raise RuntimeError(f"the modules could not be compiled:\n{problem}")
        else:
            lines = problem.splitlines()
            why = next((line for line in lines if "error:" in line), lines[-1])
            self.app.display_warning(f"Plain Python, a third slower than compiled: {why.strip()}")

    def _make_ui(self, build_data: dict[str, Any], *, in_tree: bool) -> None:
        """The pages and Swagger UI. Without them all else works, and `/` says what is missing."""
        script, ui = str(Path(self.root, "build", "ui_files.py")), Path(self.root, "ui")
        check = [sys.executable, script, "--check"]
        if subprocess.run(check, stderr=subprocess.DEVNULL).returncode:
            command = [sys.executable, script]
            if not in_tree:
                self._ui = tempfile.TemporaryDirectory(prefix="helicone-appliance-ui-")
                ui = Path(self._ui.name)
                command.append(str(ui))
            done = subprocess.run(command, stderr=subprocess.PIPE, text=True)
            if done.returncode:
                self.app.display_warning(f"Without the pages: {done.stderr.strip()}")
                return
        if not in_tree:
            files = [path for place in MADE for path in (ui / place).rglob("*") if path.is_file()]
            placed = {str(path): f"ui/{path.relative_to(ui)}" for path in files}
            build_data["force_include"].update(placed)

    def _compile(self, place: Path) -> str:
        """What went wrong, or nothing. In a process of its own: mypy and setuptools change much."""
        done = subprocess.run(
            [sys.executable, __file__, str(place)],
            cwd=self.root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        return f"{done.stdout}\nstatus {done.returncode}" if done.returncode else ""

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        if hasattr(self, "_place"):
            self._place.cleanup()
        if hasattr(self, "_ui"):
            self._ui.cleanup()


def missing_tool() -> str:
    """What the compiler would fail for, found out before the half minute that comes first."""
    named = os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc"
    compiler = shlex.split(named)[0]
    if shutil.which(compiler) is None:
        return f"there is no C compiler ({compiler})"
    header = Path(sysconfig.get_path("include"), "Python.h")
    return "" if header.exists() else f"{header} is missing (Debian's python3-dev)"


def compile_into(place: Path) -> None:
    """Extension modules, placed as in the wheel; the sources lie in the current directory."""
    from mypyc.build import mypycify
    from setuptools import Distribution  # type: ignore[import-untyped]
    from setuptools.command.build_ext import build_ext  # type: ignore[import-untyped]

    workers = os.cpu_count() or 1

    class Parallel(build_ext):  # type: ignore[misc]
        """Sources beside each other; setuptools knows only extensions beside each other."""

        def build_extensions(self) -> None:
            compile_all = self.compiler.compile

            def compile_each(sources: list[str], **options: object) -> list[str]:
                def compile_one(source: str) -> list[str]:
                    return compile_all([source], **options)  # type: ignore[no-any-return]

                return [name for names in threads.map(compile_one, sources) for name in names]

            with ThreadPoolExecutor(workers) as threads:
                self.compiler.compile = compile_each
                super().build_extensions()

    # Without site-packages the C code is the same whatever is installed beside mypy.
    options = ["--config-file=", "--no-site-packages", "--ignore-missing-imports"]
    options += ["--follow-imports=silent", f"--cache-dir={os.devnull}"]
    with tempfile.TemporaryDirectory() as temporary:
        extensions = mypycify(
            [*options, *PATHS], opt_level=OPTIMIZATION, debug_level="0", multi_file=True,
            target_dir=temporary, group_name="helicone_appliance",
        )  # fmt: skip
        for extension in extensions:  # another compiler than ours may have more to say
            flags = extension.extra_compile_args
            extension.extra_compile_args = [flag for flag in flags if flag != "-Werror"]
        command = Parallel(Distribution({"ext_modules": extensions}))
        command.build_lib, command.build_temp = str(place), temporary
        command.parallel = workers
        command.ensure_finalized()
        command.run()


if __name__ == "__main__":
    compile_into(Path(sys.argv[1]))
