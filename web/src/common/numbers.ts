// Numbers for people.

const GROUPS = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

export function count(value: number): string {
  return GROUPS.format(value);
}

export function short(value: number): string {
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e6 || size < 1e-3) return value.toExponential(2).replace("e+", "e");
  if (size >= 1000) return GROUPS.format(value);
  return String(Number(value.toPrecision(4)));
}

const BINARY = ["bytes", "kB", "MB", "GB", "TB", "PB"];

export function bytes(value: number): string {
  let power = 0;
  while (value >= 1000 && power < BINARY.length - 1) {
    value /= 1000;
    power++;
  }
  return `${power && value < 10 ? value.toFixed(1) : Math.round(value)} ${BINARY[power]}`;
}

const RAISED: Record<string, string> = { "-": "⁻", "1": "¹", "2": "²", "3": "³", "4": "⁴" };

/** Returns a unit with raised powers; empty for numbers without one. */
export function unitText(unit: string): string {
  if (unit === "1") return "";
  return unit.replace(/\^(-?[1-4])/g, (_, power: string) => [...power].map((sign) => RAISED[sign]).join(""));
}

/** Returns a value with its unit. */
export function quantity(value: number | null | undefined, unit: string): string {
  if (value === null || value === undefined) return "no value";
  return `${short(value)} ${unitText(unit)}`.trimEnd();
}

/** Returns a length with the unit that suits it. */
export function length(nm: number): string {
  return nm >= 1000 ? `${short(nm / 1000)} µm` : `${short(nm)} nm`;
}
