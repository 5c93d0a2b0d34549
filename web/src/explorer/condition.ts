// Brushes as a condition of the query language, and back. The numbers are the edges of bins, to the last digit, so the
// service selects exactly the rows that the page does.

import type { Brush } from "./crossfilter";

export interface Column {
  name: string;
  title: string;
  unit: string;
  is_whole: boolean;
  edges: number[];
  missing: number;
}

export type Brushes = ReadonlyMap<string, Brush>;

const NUMBER = String.raw`-?[0-9.]+(?:e[+-]?[0-9]+)?`;
const RANGE = new RegExp(`^(${NUMBER}) <= ([A-Za-z_][\\w.]*) (<=?) (${NUMBER})$`);

/** Returns the condition that selects the rows within all brushes; empty without brushes. */
export function conditionOf(brushes: Brushes, columns: ReadonlyMap<string, Column>): string {
  const parts = [...brushes].map(([name, { low, high }]) => {
    const edges = columns.get(name)?.edges ?? [];
    const order = high === edges.length - 1 ? "<=" : "<"; // the last bin holds its upper edge
    return `${edges[low]} <= ${name} ${order} ${edges[high]}`;
  });
  return parts.join(" and ");
}

/** Returns the brushes of a condition, or null if it was written by hand and brushes cannot show it. */
export function brushesOf(condition: string, columns: ReadonlyMap<string, Column>): Map<string, Brush> | null {
  const brushes = new Map<string, Brush>();
  if (!condition.trim()) return brushes;
  for (const part of condition.trim().split(" and ")) {
    const found = RANGE.exec(part.trim());
    const column = found && columns.get(found[2]);
    if (!found || !column || brushes.has(column.name)) return null;
    const low = column.edges.indexOf(Number(found[1]));
    const high = column.edges.indexOf(Number(found[4]));
    const isLast = high === column.edges.length - 1;
    if (low < 0 || high <= low || (found[3] === "<=") !== isLast) return null;
    brushes.set(column.name, { low, high });
  }
  return brushes;
}
