// Prints what a first visit loads and what loads later, compressed, and fails above the limit.
import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

const LIMIT = 350 * 1024;
const dist = new URL("../dist/", import.meta.url);
const manifest = JSON.parse(readFileSync(new URL(".vite/manifest.json", dist), "utf8"));
const packed = (file) => gzipSync(readFileSync(new URL(file, dist)), { level: 9 }).length;
const kb = (bytes) => `${(bytes / 1024).toFixed(1).padStart(7)} KB`;

const first = new Set(["index.html"]);
const visit = (key) => {
  const chunk = manifest[key];
  if (first.has(chunk.file)) return;
  for (const file of [chunk.file, ...(chunk.css ?? [])]) first.add(file);
  for (const next of chunk.imports ?? []) visit(next);
};
visit("index.html");

const later = new Set();
for (const chunk of Object.values(manifest))
  for (const file of [chunk.file, ...(chunk.css ?? [])]) if (!first.has(file)) later.add(file);

let total = 0;
for (const file of first) {
  const size = packed(file);
  total += size;
  console.log(`${kb(size)}  first  ${file}`);
}
for (const file of later) console.log(`${kb(packed(file))}  later  ${file}`);
console.log(`${kb(total)}  first load, gzip (limit ${(LIMIT / 1024).toFixed(0)} KB)`);
if (total > LIMIT) {
  console.error("The first load is above its limit.");
  process.exit(1);
}
