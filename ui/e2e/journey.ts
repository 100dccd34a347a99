import { readFileSync } from "node:fs";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { expect } from "vitest";

/** Opens a page of a real server in a browser profile of its own. Whatever the console complains of fails the test. */
export async function openPage(
  browser: Browser,
  url: string,
  path: string,
  options: BrowserContextOptions = {},
): Promise<Page> {
  const context = await browser.newContext({
    viewport: { width: 1280, height: 720 },
    locale: "en",
    timezoneId: "UTC",
    acceptDownloads: true,
    ...options,
  });
  const page = await context.newPage();
  page.setDefaultTimeout(15_000);
  page.on("pageerror", (error) => expect.soft(error.message).toBe("no error"));
  page.on("console", (message) => {
    const expected = /Failed to load resource|ERR_/.test(message.text());
    if (message.type() === "error" && !expected) expect.soft(message.text()).toBe("no complaint");
  });
  await page.goto(url + path);
  return page;
}

/** Chooses an item of the menu "Download", and gives what was downloaded. */
export async function downloaded(page: Page, item: string): Promise<string> {
  const coming = page.waitForEvent("download");
  await page.getByRole("button", { name: "Download" }).click();
  await page.getByRole("menuitem", { name: item }).click();
  return readFileSync(await (await coming).path(), "utf8");
}
