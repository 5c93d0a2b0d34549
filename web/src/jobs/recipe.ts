// The common fields of a recipe in its text: read from it, and written to it without touching the rest.

export type Field = "name" | "bundle" | "seed" | "count";

// What comes before a value, the value, and what comes after it. The number of items has a place of its own in each kind.
const VALUE = String.raw`("[^"\n]*"|'[^'\n]*'|[^\s#,}]+)`;
const PLACES: Record<Field, RegExp[]> = {
  name: [new RegExp(`^(name:[ \\t]*)${VALUE}`, "m")],
  bundle: [new RegExp(`^(bundle:[ \\t]*)${VALUE}`, "m")],
  seed: [new RegExp(`^(seed:[ \\t]*)${VALUE}`, "m")],
  count: [
    new RegExp(`^(realisations:[ \\t]*)${VALUE}`, "m"),
    new RegExp(`^(particles:[^\\n]*\\n(?:[ \\t]+[^\\n]*\\n)*?[ \\t]+count:[ \\t]*)${VALUE}`, "m"),
    new RegExp(`^(particles:[ \\t]*\\{[^}\\n]*?count:[ \\t]*)${VALUE}`, "m"),
  ],
};

/** Returns the value of a field as text; null if the recipe does not have it where it can be changed. */
export function read(recipe: string, field: Field): string | null {
  const found = PLACES[field].map((place) => place.exec(recipe)).find(Boolean);
  return found ? found[2].replace(/^["']|["']$/g, "") : null;
}

/** Returns the recipe with another value of a field, if it has this field. */
export function write(recipe: string, field: Field, value: string): string {
  const place = PLACES[field].find((one) => one.test(recipe));
  const text = /^[\w.-]+$/.test(value) ? value : JSON.stringify(value);
  return place ? recipe.replace(place, (_, before: string) => before + text) : recipe;
}
