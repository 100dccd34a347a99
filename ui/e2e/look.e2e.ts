import { mkdirSync } from "node:fs";
import { afterAll, beforeAll, test } from "vitest";
import type { Server } from "node:http";
import type { Browser } from "playwright-core";
import { launch, serveDist } from "./browser.ts";
import { Fixture } from "./fixture.ts";

let browser: Browser;
let site: { url: string; server: Server };
beforeAll(async () => {
  mkdirSync("e2e/out", { recursive: true });
  [browser, site] = await Promise.all([launch(), serveDist()]);
});
afterAll(async () => {
  await browser.close();
  site.server.close();
});

const only = process.env.LOOK?.split(",");
const VIEWS: Record<string, string> = {
  home: "/",
  cluster: "/network/demo",
  ingress: "/network/demo/shop",
  egress: "/network/demo/shop?tab=egress&edge=egress4",
  addresses: "/network/demo/shop?tab=egress&show=addresses",
  topology: "/network/demo/shop?tab=topology",
  policy: "/network/demo/shop?tab=policy",
  editor: "/network/demo/shop?tab=editor",
  readiness: "/network/demo/shop?tab=readiness",
  configuration: "/configuration/demo",
};
for (const [name, path] of Object.entries(VIEWS)) {
  if (only && !only.includes(name)) continue;
  test(name, async () => {
    const dark = process.env.DARK === "1";
    const page = await browser.newPage({
      viewport: { width: 1280, height: 720 },
      colorScheme: dark ? "dark" : "light",
      locale: process.env.LOCALE ?? "en",
    });
    page.on("console", (m) => m.type() !== "debug" && console.log(name, m.type(), m.text()));
    page.on("pageerror", (e) => console.log(name, "ERROR", e.message));
    await new Fixture().answer(page);
    await page.goto(site.url + path);
    await page.waitForTimeout(1500);
    await page.screenshot({ path: `e2e/out/${name}.png` });
    await page.close();
  });
}
