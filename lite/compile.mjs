// Run compile_wheels.py with the Python of the page: bytecode is of use to the version alone that made it.
import { readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const [core, standardLibrary, sources, target] = process.argv.slice(2).map((path) => resolve(path));
const { loadPyodide } = await import(pathToFileURL(join(core, "pyodide.mjs")));
const python = await loadPyodide({ indexURL: core, stdLibURL: standardLibrary });
python.mountNodeFS("/sources", sources);
python.mountNodeFS("/target", target);
const here = dirname(fileURLToPath(import.meta.url));
python.runPython(readFileSync(join(here, "compile_wheels.py"), "utf8"));
