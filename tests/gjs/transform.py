# SPDX-License-Identifier: Apache-2.0
"""From a program of the guide to one that gjs runs, as docs/javascript.md says: types are stripped, the two import lines lead to our module."""

import pathlib
import re
import subprocess

from program import MODULE, STEP

SPECIFIERS = ("@kit.NetworkKit", "@kit.BasicServicesKit")
TRANSPILE = """
const [, typescript, source, target] = process.argv, fs = require('fs'), ts = require(typescript);
const options = { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext };
fs.writeFileSync(target, ts.transpileModule(fs.readFileSync(source, 'utf8'), { compilerOptions: options }).outputText);
"""


def rewrite_imports(text: str) -> str:
    return re.sub(r"(['\"])@kit\.(NetworkKit|BasicServicesKit)\1", f"'file://{MODULE}'", text)


def by_esbuild(clients: pathlib.Path, source: pathlib.Path, target: pathlib.Path) -> None:
    """One file with our module in it."""
    aliases = [f"--alias:{specifier}={MODULE}" for specifier in SPECIFIERS]
    subprocess.run([clients / "node_modules" / ".bin" / "esbuild", source, "--bundle", "--format=esm", "--loader:.ets=ts", "--external:gi://*",
                    *aliases, f"--outfile={target}", "--log-level=warning"], check=True, timeout=STEP)


def by_typescript(clients: pathlib.Path, source: pathlib.Path, target: pathlib.Path) -> None:
    """A file that imports our module from where it lies."""
    subprocess.run(["node", "-e", TRANSPILE, clients / "node_modules" / "typescript", source, target], check=True, timeout=STEP)
    target.write_text(rewrite_imports(target.read_text()))


TRANSFORMS = {"esbuild": by_esbuild, "typescript": by_typescript}
