import type { Page } from "playwright-core";
import { expect, test } from "vitest";
import { large } from "./large.ts";
import { stage } from "./stage.ts";

const theatre = stage();

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

test("50,000 rows stay smooth", async () => {
  const begin = performance.now();
  const page = await theatre.open("/network/demo/shop?sort=-connections", large(2000, 50_000));
  await page.getByText(/[45]\d,\d{3} rows/).waitFor({ timeout: 60_000 });
  const shown = Math.round(performance.now() - begin);
  await page.mouse.move(600, 500);
  const scroll = await frames(page, async () => {
    for (let i = 0; i < 60; i++) {
      await page.mouse.wheel(0, 400 + i * 50);
      await page.waitForTimeout(25);
    }
  });
  const typed = performance.now();
  await page.getByRole("textbox", { name: "Search peers" }).fill("workload-770");
  await page.waitForFunction(
    () =>
      document.querySelectorAll(".table-row").length < 60 ||
      document.body.textContent.includes("workload-770"),
  );
  const search = Math.round(performance.now() - typed);
  console.log(
    `table, 50,000 rows: shown ${shown} ms; scrolling median ${scroll.median} ms, p95 ${scroll.p95} ms (${scroll.count} frames); search ${search} ms`,
  );
  expect(scroll.median).toBeLessThan(34);
});

test("the map of 2,000 nodes and 10,000 links pans", async () => {
  const begin = performance.now();
  const page = await theatre.open("/network/demo/shop?tab=topology", large(2000, 10_000));
  await page.locator(".map canvas").first().waitFor({ timeout: 60_000 });
  await page.waitForTimeout(100);
  const shown = Math.round(performance.now() - begin);
  await page.waitForTimeout(3000);
  await page.screenshot({ path: "e2e/out/large.png" });
  const pan = await frames(page, async () => {
    // From the lower edge, where no node is, and around, so that all of it stays in sight.
    await page.mouse.move(450, 700);
    await page.mouse.down();
    for (let i = 0; i < 150; i++) {
      await page.mouse.move(450 + Math.sin(i / 8) * 150, 700 - Math.abs(Math.sin(i / 12)) * 120);
      await page.waitForTimeout(8);
    }
    await page.mouse.up();
  });
  console.log(
    `map, 2,000 nodes, 10,000 links: shown ${shown} ms; panning median ${pan.median} ms, p95 ${pan.p95} ms (${pan.count} frames)`,
  );
  expect(pan.median).toBeLessThan(20);
});
