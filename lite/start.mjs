// What JupyterLite's kernel takes for Pyodide: Pyodide, with the compiled Python that stands beside this file.
import { loadPyodide as load } from "%CORE%pyodide.mjs";

const beside = (name) => new URL(name, import.meta.url).href;

export async function loadPyodide(options) {
  const python = await load({
    ...options,
    indexURL: beside("%CORE%"),
    lockFileURL: beside("pyodide-lock.json"),
    stdLibURL: beside("python_stdlib.zip"),
    packages: ["theirs", "ours"], // they hold what the kernel asks for, and more
  });
  // The current folder will be the reader's files, where every look for a module is a request: look there last.
  python.runPython("import sys; sys.path.sort(key=lambda folder: not folder)");
  return python;
}
