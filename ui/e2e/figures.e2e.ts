import type { Server } from "node:http";
import type { Browser, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { launch, serveDist } from "./browser.ts";
import { Fixture } from "./fixture.ts";
import { large } from "./large.ts";
import { settled } from "./stage.ts";

// Prints what was measured beside its aim. Only the frames of the map and of the table can fail: times of a first view
// depend on what else the machine does.

let browser: Browser;
let site: { readonly url: string; readonly server: Server } | undefined;
beforeAll(async () => {
  browser = await launch();
});
afterEach(() => {
  site?.server.closeAllConnections();
  site?.server.close();
});
afterAll(() => browser.close());

/** Opens a view in a fresh browser profile; answers come over HTTP, as those of a server do. */
async function open(path: string, fixture: Fixture): Promise<Page> {
  const answers = new Map<string, string>();
  site = await serveDist((asked) => {
    if (asked === "/events") return null;
    const known = answers.get(asked) ?? JSON.stringify(fixture.body(asked, "GET", null));
    answers.set(asked, known);
    return known;
  });
  // Made before, so that only the page is measured.
  await Promise.all(["edges", "topology"].map((part) => fetch(`${site?.url}/api/v1/clusters/demo/${part}`)));
  const page = await browser.newPage({ viewport: { width: 1280, height: 720 }, locale: "en" });
  await page.goto(site.url + path, { waitUntil: "commit" });
  return page;
}

function print(what: string, measured: number, aim: number, unit = "ms"): void {
  console.log(`${what.padEnd(58)} ${String(measured).padStart(7)} ${unit}   aim ${aim} ${unit}`);
}

interface Frames {
  readonly median: number;
  readonly p95: number;
  readonly count: number;
}

/** Times between frames while something is done. */
async function frames(page: Page, act: () => Promise<void>): Promise<Frames> {
  await page.evaluate(() => {
    const times: number[] = [];
    let last = performance.now();
    const next = (now: number) => {
      times.push(now - last);
      last = now;
      if ((globalThis as { measuring?: boolean }).measuring) requestAnimationFrame(next);
    };
    Object.assign(globalThis, { measuring: true, times });
    requestAnimationFrame(next);
  });
  await act();
  const times = await page.evaluate(() => {
    Object.assign(globalThis, { measuring: false });
    return (globalThis as unknown as { times: number[] }).times.slice(1);
  });
  const sorted = times.toSorted((a, b) => a - b);
  const at = (part: number) => Math.round((sorted[Math.floor(sorted.length * part)] ?? NaN) * 10) / 10;
  return { median: at(0.5), p95: at(0.95), count: sorted.length };
}

test("the first view of a namespace", async () => {
  const begin = performance.now();
  const page = await open("/network/demo/shop", new Fixture());
  await page.locator(".table-row").first().waitFor();
  print("first view of a namespace, empty cache", Math.round(performance.now() - begin), 1500);
  await page.close();
});

test("50,000 rows stay smooth", async () => {
  const begin = performance.now();
  const page = await open("/network/demo/shop?sort=-connections", large(2000, 50_000));
  await page.locator(".table-row").first().waitFor({ timeout: 60_000 });
  const shown = Math.round(performance.now() - begin);
  await settled(page);
  await page.mouse.move(600, 500);
  const scroll = await frames(page, async () => {
    for (let i = 0; i < 60; i++) await page.mouse.wheel(0, 400 + i * 50);
  });
  const rows = page.locator(".bar > .nowrap").filter({ hasText: "rows" });
  const count = (await rows.textContent()) ?? "";
  const typed = performance.now();
  await page.getByRole("textbox", { name: "Search peers" }).fill("workload-770");
  await page.waitForFunction(
    (all) => ![...document.querySelectorAll(".bar > .nowrap")].some(({ textContent }) => textContent === all),
    count,
  );
  print("table of 50,000 rows: shown, from an empty cache", shown, 4000);
  print("table of 50,000 rows: frame while scrolling, median", scroll.median, 20);
  print("table of 50,000 rows: frame while scrolling, p95", scroll.p95, 50);
  print("table of 50,000 rows: search", Math.round(performance.now() - typed), 500);
  await page.close();
  expect(scroll.median).toBeLessThan(34);
});

test("the map of 2,000 nodes and 10,000 links pans", async () => {
  const begin = performance.now();
  const page = await open("/network/demo/shop?tab=topology", large(2000, 10_000));
  await page.locator(".map canvas").first().waitFor({ timeout: 60_000 });
  const shown = Math.round(performance.now() - begin);
  await settled(page);
  const pan = await frames(page, async () => {
    // From the lower edge, where no node is, and around, so that all of it stays in sight.
    await page.mouse.move(450, 700);
    await page.mouse.down();
    for (let i = 0; i < 150; i++)
      await page.mouse.move(450 + Math.sin(i / 8) * 150, 700 - Math.abs(Math.sin(i / 12)) * 120);
    await page.mouse.up();
  });
  print("map of 2,000 nodes, 10,000 links: shown", shown, 4000);
  print("map of 2,000 nodes, 10,000 links: frame while panning, median", pan.median, 20);
  print("map of 2,000 nodes, 10,000 links: frame while panning, p95", pan.p95, 50);
  await page.close();
  expect(pan.median).toBeLessThan(20);
});
