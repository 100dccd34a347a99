// Fails when a package of the lock file has a licence that nobody looked at.
import { readFileSync } from "node:fs";

const ACCEPTED = new Set([
  "Apache-2.0",
  "MIT",
  "ISC",
  "0BSD",
  "BSD-2-Clause",
  "BSD-3-Clause",
  "Python-2.0",
  "(MIT OR CC0-1.0)",
]);
// Tools of the build and the tests only; nothing of them is in what is shipped.
const TOOLS = /^node_modules\/(axe-core|lightningcss(-[a-z0-9-]+)?)$/;

const { packages } = JSON.parse(readFileSync(new URL("../package-lock.json", import.meta.url), "utf8"));
const refused = Object.entries(packages).filter(
  ([path, { license, dev }]) => path !== "" && !ACCEPTED.has(license) && !(dev && TOOLS.test(path)),
);
const resolved = Object.entries(packages).filter(([, { resolved }]) => resolved !== undefined);
for (const [path, { license }] of refused) console.error(`${path}: licence ${license}`);
for (const [path] of resolved) console.error(`${path}: the lock file records where it was downloaded`);
if (refused.length + resolved.length > 0) process.exit(1);
console.log(`${Object.keys(packages).length - 1} packages, licences accepted`);
