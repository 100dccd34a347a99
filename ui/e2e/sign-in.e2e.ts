import { createServer } from "node:http";
import { join } from "node:path";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { launch } from "./browser.ts";
import { Issuer } from "./issuer.ts";
import { openPage } from "./journey.ts";
import { ringfence, Served } from "./served.ts";
import { serious } from "./stage.ts";

// Who may do what, against a real server that wants to know who somebody is: by token, or by an OpenID provider.

const issuer = new Issuer([
  { email: "ada@example.org", groups: ["platform", "everybody"] },
  { email: "eve@example.org", groups: ["everybody"] },
  { email: "bob@example.org", groups: ["visitors"] },
]);
const tokens = { viewer: "", editor: "", admin: "" };
const SHOP = "/network/example/shop";
let browser: Browser;
let server: Served;

/** A port that nobody listens on: the provider has to know where to send people back to. */
async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((ready) => probe.listen(0, "127.0.0.1", ready));
  const address = probe.address();
  await new Promise((closed) => probe.close(closed));
  if (address === null || typeof address === "string") throw new Error("there is no port");
  return address.port;
}

beforeAll(async () => {
  const [url, port] = await Promise.all([issuer.start(), freePort()]);
  let entries = "tokens:\n";
  for (const role of ["viewer", "editor", "admin"] as const) {
    const made = ringfence(".", ["token", role, "--role", role]);
    entries += made.stdout;
    tokens[role] = /\brf_\S+/.exec(made.stderr)?.[0] ?? "";
  }
  const config = {
    store: "example.db",
    publicUrl: `http://127.0.0.1:${port}`,
    authentication: {
      tokens: "tokens.yaml",
      oidc: {
        issuer: url,
        clientId: "ringfence",
        scopes: ["groups"],
        roleClaim: "groups",
        roles: { admin: ["platform"], viewer: ["everybody"] },
      },
    },
  };
  server = new Served(["--config", "server.yaml"], {
    // JSON is YAML.
    "server.yaml": JSON.stringify(config),
    "tokens.yaml": entries,
  });
  // A demo asks nobody who they are.
  const demo = new Served(["--demo"]);
  await demo.start();
  demo.backup(join(server.folder, "example.db"));
  await demo.remove();
  [browser] = await Promise.all([launch(), server.start(port)]);
});
afterAll(async () => {
  await browser?.close();
  await server.remove();
  issuer.stop();
});

const open = (path: string, options: BrowserContextOptions = {}): Promise<Page> =>
  openPage(browser, server.url, path, options);

async function enter(page: Page, token: string): Promise<void> {
  await page.getByLabel(/^Token/).fill(token);
  await page.getByRole("button", { name: "Sign in" }).click();
}

/** Opens a page as the holder of a token. */
async function openAs(role: keyof typeof tokens, path: string): Promise<Page> {
  const page = await open(path);
  await enter(page, tokens[role]);
  await page.getByRole("button", { name: role, exact: true }).waitFor();
  return page;
}

const firstBox = (page: Page) => page.getByRole("grid").getByRole("checkbox").first();

describe("with a token", () => {
  test.each([
    ["en", "light"],
    ["ja", "dark"],
  ] as const)("axe finds nothing serious where one signs in: %s", async (locale, colorScheme) => {
    const page = await open(SHOP, { locale, colorScheme });
    await page.locator("form").waitFor();
    expect(await serious(page)).toEqual([]);
  });

  test("a wrong one is refused, a right one leads to where one wanted to go", async () => {
    const page = await open(`${SHOP}?tab=egress&search=orders`);
    await page.getByText("You are not signed in").waitFor();
    expect(await page.getByRole("grid").count()).toBe(0);
    await enter(page, "rf_wrong");
    await page.getByText("The token is unknown or has expired").waitFor();
    await enter(page, tokens.viewer);
    await firstBox(page).waitFor();
    expect(page.url()).toBe(`${server.url}${SHOP}?tab=egress&search=orders`);
  });

  test("a viewer looks and changes nothing", async () => {
    const page = await openAs("viewer", SHOP);
    await firstBox(page).waitFor();
    expect(await firstBox(page).isDisabled()).toBe(true);
    await page.getByText("You can look, but not change").waitFor();
    expect(await page.getByRole("button", { name: "Undo" }).isDisabled()).toBe(true);
    // Nor with the keyboard.
    await page.getByRole("grid").focus();
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Space");
    await page.keyboard.press("Control+z");
    await page.getByRole("button", { name: /General rule/ }).click();
    expect(await page.getByRole("menuitem", { name: /Block all/ }).isDisabled()).toBe(true);
    await page.keyboard.press("Escape");
    await page.getByRole("link", { name: "Configuration" }).click();
    await page.getByText("Only administrators can change the configuration").waitFor();
    await page
      .getByRole("checkbox", { name: /^Allowed:/ })
      .first()
      .waitFor();
    for (const box of await page.getByRole("checkbox").all()) expect(await box.isDisabled()).toBe(true);
    expect(await page.getByRole("button", { name: "Add an alias" }).isDisabled()).toBe(true);
    expect(await page.getByRole("radio").first().isDisabled()).toBe(true);
  });

  test("an editor decides, and leaves the configuration alone", async () => {
    const page = await openAs("editor", `${SHOP}?search=orders`);
    await page.getByRole("checkbox", { name: /^Allow: web TCP\/8081 orders/ }).uncheck();
    await page.getByText("Forbade 1 connection by hand").waitFor();
    await page.getByRole("button", { name: "Undo" }).first().click();
    await page.getByText("Undone").waitFor();
    await page.getByRole("tab", { name: "Egress" }).click();
    await page.getByRole("button", { name: "Unresolved addresses" }).click();
    await firstBox(page).waitFor();
    for (const button of await page.getByRole("button", { name: "Give an alias" }).all())
      expect(await button.isDisabled()).toBe(true);
    await page.getByRole("link", { name: "Configuration" }).click();
    await page.getByText("Only administrators can change the configuration").waitFor();
    expect(await page.getByRole("button", { name: "Add an alias" }).isDisabled()).toBe(true);
  });

  test("an administrator changes the configuration; the history says so, and undo takes it back", async () => {
    const page = await openAs("admin", "/configuration/example");
    const version = page.getByText(/^Version \d+$/);
    const before = await version.textContent();
    await page
      .getByRole("checkbox", { name: /^Allowed:/ })
      .first()
      .click();
    await page.getByText(/^Connections with .+ stay out of policies$/).waitFor();
    await page.getByRole("button", { name: "History" }).click();
    const row = page.getByRole("row", { name: /Connections with .+ stay out of policies/ });
    await row.getByRole("cell", { name: "admin" }).waitFor();
    await page.getByRole("button", { name: "Undo" }).click();
    await page.getByText("Undone").waitFor();
    await page
      .getByRole("checkbox", { name: /^Allowed:/, checked: true })
      .first()
      .waitFor();
    expect(await version.textContent()).not.toBe(before);
  });

  test("who signs out sees nothing any more", async () => {
    const page = await openAs("viewer", SHOP);
    await firstBox(page).waitFor();
    await page.getByRole("button", { name: "viewer", exact: true }).click();
    await page.getByRole("menuitem", { name: "Sign out" }).click();
    await page.getByText("You are not signed in").waitFor();
    expect(await page.getByRole("grid").count()).toBe(0);
    await page.reload();
    await page.getByText("You are not signed in").waitFor();
  });
});

describe("with an OpenID provider", () => {
  async function enterAs(path: string, email: string): Promise<Page> {
    const page = await open(path);
    await page.getByRole("link", { name: "Sign in" }).click();
    await page.getByText("Who are you?").waitFor();
    await page.getByRole("link", { name: email }).click();
    return page;
  }

  test("one comes back to where one wanted to go, with the role that the provider gives", async () => {
    const page = await enterAs(`${SHOP}?tab=egress&search=orders`, "ada@example.org");
    await page.getByRole("button", { name: "ada@example.org" }).click();
    await page.getByText("ada@example.org (administrator)").waitFor();
    expect(page.url()).toBe(`${server.url}${SHOP}?tab=egress&search=orders`);
    expect(await firstBox(page).isDisabled()).toBe(false);
  });

  test("the least role can only look", async () => {
    const page = await enterAs(SHOP, "eve@example.org");
    await firstBox(page).waitFor();
    expect(await firstBox(page).isDisabled()).toBe(true);
  });

  test("who gets no role is told so", async () => {
    const page = await enterAs(SHOP, "bob@example.org");
    await page.getByText(/bob@example.org/).waitFor();
    await page.goto(server.url);
    await page.getByText("You are not signed in").waitFor();
  });
});
