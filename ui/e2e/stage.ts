import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import type { Server } from "node:http";
import type { Browser, BrowserContext, BrowserContextOptions, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, expect } from "vitest";
import { launch, serveDist } from "./browser.ts";
import type { Fixture } from "./fixture.ts";

/** A browser with pages of what was built, whose API is a fixture. */
export function stage() {
  let browser: Browser | undefined;
  let site: { url: string; server: Server } | undefined;
  const pages: Page[] = [];
  // Pages that look alike share a profile, so that each loads from its cache.
  const profiles = new Map<string, Promise<BrowserContext>>();
  beforeAll(async () => {
    [browser, site] = await Promise.all([launch(), serveDist()]);
  });
  afterEach(async () => {
    await Promise.all(pages.splice(0).map((page) => page.close()));
  });
  afterAll(async () => {
    await browser?.close();
    site?.server.close();
  });
  return {
    /** Opens a view. Whatever the console has to complain about fails the test. */
    async open(path: string, fixture: Fixture, options: BrowserContextOptions = {}): Promise<Page> {
      if (!browser || !site) throw new Error("the stage is not set up yet");
      const look = {
        viewport: { width: 1280, height: 720 },
        locale: "en",
        timezoneId: "UTC",
        ...options,
      };
      const key = JSON.stringify(look);
      const profile = profiles.get(key) ?? browser.newContext(look);
      profiles.set(key, profile);
      const page = await (await profile).newPage();
      page.setDefaultTimeout(15_000);
      pages.push(page);
      page.on("pageerror", (error) => expect.soft(error.message).toBe("no error"));
      page.on("console", (message) => {
        const expected = /Failed to load resource|ERR_CONNECTION_REFUSED/.test(message.text());
        if (message.type() === "error" && !expected) expect.soft(message.text()).toBe("no complaint");
      });
      await fixture.answer(page);
      await page.goto(site.url + path);
      return page;
    },
  };
}

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** Waits until nothing is loaded or moves any more. */
export async function settled(page: Page): Promise<void> {
  await page.waitForFunction(() => document.querySelector(".mantine-Loader-root, [aria-busy=true]") === null);
  await page.evaluate(async () => {
    await document.fonts.ready;
    const ends = document
      .getAnimations()
      .filter(({ effect }) => effect?.getComputedTiming().endTime !== Infinity);
    await Promise.allSettled(ends.map(({ finished }) => finished));
    await new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)));
  });
}

/** What axe finds that is serious, a line for each, as soon as the page is at rest. */
export async function serious(page: Page): Promise<readonly string[]> {
  await settled(page);
  await page.evaluate(AXE);
  return page.evaluate(async () => {
    interface Found {
      id: string;
      impact: string;
      nodes: { html: string }[];
    }
    const axe = (globalThis as unknown as { axe: { run(): Promise<{ violations: Found[] }> } }).axe;
    const { violations } = await axe.run();
    return violations
      .filter(({ impact }) => impact === "serious" || impact === "critical")
      .flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html.slice(0, 200)}`));
  });
}
