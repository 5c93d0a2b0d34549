// Reads a box of a sharded array, and a whole small one, as a web page would.
import * as zarr from "zarrita";

const [url, chunk] = process.argv.slice(2);
const edge = Number(chunk);
const root = zarr.root(new zarr.FetchStore(url));
const volume = await zarr.open.v3(root.resolve("volume"), { kind: "array" });
const box = await zarr.get(volume, [0, zarr.slice(edge, null), zarr.slice(0, 1), zarr.slice(edge, null)]);
const x = await zarr.open.v3(root.resolve("x_nm"), { kind: "array" });
const fraction = await zarr.get(await zarr.open.v3(root.resolve("volume_fraction"), { kind: "array" }));
const said = {
  shape: volume.shape,
  units: x.attrs.units,
  sum: box.data.reduce((sum, value) => sum + Number(value), 0),
  first: Array.from(box.data.slice(0, 20), Number),
  fraction: Array.from(fraction.data),
};
console.log(JSON.stringify(said));
