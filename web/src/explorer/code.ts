// The code that opens what is shown: with plain xarray, and with nmcdist.

import { translated } from "./python";

/** What the server knows of the release: how Python opens it, and how it reads each column. */
export interface Opening {
  store: string; // path of the store on the service
  chunks: string; // further arguments of open_zarr
  columns: Record<string, string>; // expression in Python, by name of the column
}

const PREFIX = "shell_";
const SELECT = "selected = data.isel(sample=items)";
const WORDS = new Set(["and", "or", "not", "abs", "data", "items", "selected", "numpy", "xarray", "lambda", "in", "is"]);

export function fullName(name: string, columns: Record<string, string>): string | undefined {
  return [name, PREFIX + name].find((known) => Object.hasOwn(columns, known));
}

export function xarrayCode(condition: string, opening: Opening): string {
  const open = openLine(opening);
  if (!condition.trim()) return `import xarray\n\n${open}\n`;
  const selection = translated(condition, (name) => fullName(name, opening.columns), variable);
  if (!selection) return `import xarray\n\n# The condition cannot be read, so these are all items.\n${open}\n`;
  const columns = selection.columns.map((name) => `${variable(name)} = ${opening.columns[name]}`);
  const items = `items = numpy.flatnonzero(${selection.expression})`;
  return ["import numpy", "import xarray", "", open, ...columns, items, SELECT, ""].join("\n");
}

export function nmcdistCode(condition: string, opening: Opening): string {
  const lines = ["import nmcdist", "import xarray", "", openLine(opening)];
  if (condition.trim()) lines.push(`selected = data.nmc.query(${JSON.stringify(condition)})`);
  return [...lines, ""].join("\n");
}

function openLine({ store, chunks }: Opening): string {
  return `data = xarray.open_zarr("${location.origin}${store}"${chunks})`;
}

/** Returns the name of a column in Python. */
function variable(name: string): string {
  const plain = name.replace(/\W/g, "_");
  const short = plain.startsWith(PREFIX) ? plain.slice(PREFIX.length) : plain;
  return WORDS.has(short) || !/^[A-Za-z_]/.test(short) ? `column_${short}` : short;
}
