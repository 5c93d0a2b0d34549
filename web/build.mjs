// Builds the page into nmcdist/service/static, or into the folder that is named: the same bytes wherever it runs.
import { build } from "esbuild";
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));
const out = process.argv[2] ?? `${here}../nmcdist/service/static`;

await build({
  absWorkingDir: here,
  entryPoints: {
    explorer: "src/explorer/main.ts",
    viewer: "src/viewer/main.ts",
    jobs: "src/jobs/main.ts",
    style: "src/style.css",
  },
  outdir: out,
  bundle: true,
  format: "esm",
  target: "es2022",
  minify: true,
  charset: "utf8",
  legalComments: "none", // the licences stand in THIRD_PARTY.txt
  logLevel: "warning",
});

copyFileSync(`${here}src/icon.svg`, `${out}/icon.svg`);
const { version } = JSON.parse(readFileSync(`${here}node_modules/three/package.json`));
const licence = readFileSync(`${here}node_modules/three/LICENSE`, "utf8").trimEnd();
writeFileSync(`${out}/THIRD_PARTY.txt`, `viewer.js contains three ${version}, https://threejs.org\n\n${licence}\n`);
