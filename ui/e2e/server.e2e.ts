import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { launch } from "./browser.ts";
import { downloaded, openPage } from "./journey.ts";
import { ringfence, ROOT, Served } from "./served.ts";
import { serious } from "./stage.ts";

// Against a real `ringfence serve --demo`, with the pages that are in the binary.
//   RINGFENCE  the binary; target/debug/ringfence when left out
//   PICTURES   a folder for screenshots of every view

const server = new Served(["--demo"]);
let browser: Browser;
/** Of the demo. */
let cluster = "";
const NAMESPACE = "shop";

beforeAll(async () => {
  [browser] = await Promise.all([launch(), server.start()]);
  cluster = (await server.json<{ items: { name: string }[] }>("/clusters")).items[0]?.name ?? "";
});
afterAll(async () => {
  await browser?.close();
  await server.remove();
});

const open = (path: string, options: BrowserContextOptions = {}): Promise<Page> =>
  openPage(browser, server.url, path, options);
const scope = (query = "") => `/network/${cluster}/${NAMESPACE}${query}`;
const generated = (page: Page) => page.getByText(/^(PROVEN|FAILED)$/);

/** What the command line makes of the example under the review as the server has it now. */
async function commandLine(): Promise<string> {
  const review = await server.text(`/clusters/${cluster}/reviews/${NAMESPACE}/yaml`);
  const shop = `${ROOT}examples/shop`;
  const folder = mkdtempSync(join(tmpdir(), "ringfence-"));
  // Comments name the file that a decision stands in.
  writeFileSync(join(folder, `${NAMESPACE}.yaml`), review);
  const input = ["--cluster", `${shop}/cluster`, "--flows", `${shop}/flows.jsonl.zst`, "-n", NAMESPACE];
  const { stdout } = ringfence(folder, ["generate", ...input, "--review", `${NAMESPACE}.yaml`]);
  rmSync(folder, { recursive: true });
  return stdout;
}

/** Presses Tab until what has the focus says this. */
async function tabTo(page: Page, text: RegExp): Promise<void> {
  for (let left = 60; left > 0; left--) {
    await page.keyboard.press("Tab");
    const said = await page.evaluate(() => {
      const { activeElement: at } = document;
      return at instanceof HTMLElement ? (at.getAttribute("aria-label") ?? at.innerText).trim() : "";
    });
    if (text.test(said)) return;
  }
  throw new Error(`Tab does not lead to ${text}`);
}

describe("from the first page to a proven policy", () => {
  test("with five clicks, and the same as from the command line", async () => {
    const page = await open("/");
    await page.getByRole("link", { name: new RegExp(cluster) }).click();
    await page.getByRole("link", { name: NAMESPACE, exact: true }).click();
    await page.getByRole("tab", { name: "Generated Policy" }).click();
    await page.getByText("PROVEN", { exact: true }).waitFor();
    const text = await downloaded(page, "All as one YAML file");
    expect(text).toContain("kind: NetworkPolicy");
    expect(text).toBe(await commandLine());
  });

  test("with the keyboard alone", async () => {
    const page = await open("/");
    await page.getByRole("link", { name: new RegExp(cluster) }).waitFor();
    await tabTo(page, new RegExp(`^${cluster}`));
    await page.keyboard.press("Enter");
    await page.getByRole("link", { name: NAMESPACE, exact: true }).waitFor();
    await tabTo(page, new RegExp(`^${NAMESPACE}$`));
    await page.keyboard.press("Enter");
    await page.getByRole("checkbox").first().waitFor();
    await tabTo(page, /^Ingress$/);
    for (let i = 0; i < 3; i++) await page.keyboard.press("ArrowRight");
    await page.getByText("PROVEN", { exact: true }).waitFor();
    await tabTo(page, /^Download$/);
    await page.keyboard.press("Enter");
    await page.getByRole("menuitem", { name: "This file" }).waitFor();
    const coming = page.waitForEvent("download");
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Enter");
    expect(readFileSync(await (await coming).path(), "utf8")).toContain("kind: NetworkPolicy");
  });

  test("a decision, a general rule and a range show in it, and undo takes them back", async () => {
    const page = await open(scope("?tab=policy"));
    await generated(page).waitFor();
    const before = await downloaded(page, "All as one YAML file");

    await page.getByRole("tab", { name: "Ingress" }).click();
    await page.getByRole("textbox", { name: "Search peers" }).fill("orders");
    await page.getByRole("checkbox", { name: /^Allow: web TCP\/8081 orders/ }).uncheck();
    await page.getByText("Forbade 1 connection by hand").waitFor();
    await page.getByRole("button", { name: /General rule/ }).click();
    await page.getByRole("menuitem", { name: /Allow all inside the namespace/ }).click();
    await page.getByText("General rule: Allow all inside the namespace").waitFor();
    await page.getByRole("tab", { name: "Egress" }).click();
    await page.getByRole("button", { name: "Unresolved addresses" }).click();
    await page.getByRole("button", { name: "Allow egress to IP mask" }).click();
    await page.getByLabel("Range (CIDR)").fill("192.0.2.0/24");
    await page.getByRole("dialog").getByRole("button", { name: "Allow", exact: true }).click();
    await page.getByText("Allowed 192.0.2.0/24").waitFor();

    await page.getByRole("tab", { name: "Generated Policy" }).click();
    await generated(page).waitFor();
    const changed = await downloaded(page, "All as one YAML file");
    expect(changed).toContain("192.0.2.0/24");
    expect(changed).toBe(await commandLine());

    for (let i = 0; i < 3; i++) {
      const version = await page.getByText(/^Version \d+$/).textContent();
      await page.getByRole("button", { name: "Undo" }).first().click();
      await page.waitForFunction((old) => !document.body.textContent.includes(old ?? "?"), version);
    }
    expect(await commandLine()).toBe(before);
  });
});

test("a link shows another browser the same", async () => {
  const page = await open(scope("?kind=Deployment&entity=web&tab=egress&search=TCP"));
  const rows = await page.getByText(/^\d+ rows?$/).textContent();
  const other = await open(page.url().replace(server.url, ""));
  await other.getByText(rows ?? "", { exact: true }).waitFor();
});

test("two people decide at once: the second sees the conflict", async () => {
  const [first, second] = [await open(scope("?search=web")), await open(scope("?search=web"))];
  const box = /^Allow: web TCP\/8081 orders/;
  await second.getByRole("checkbox", { name: box }).waitFor();
  // The second one does not hear of the first one's change.
  await second.route("**/reviews/*", (route) =>
    route.request().method() === "GET" ? route.abort() : route.continue(),
  );
  await first.getByRole("checkbox", { name: box }).uncheck();
  await first.getByText("Forbade 1 connection by hand").waitFor();
  await second
    .getByRole("checkbox", { name: /^Allow: web TCP\/.* catalog/ })
    .first()
    .click();
  await second.getByText("Somebody else changed this review").waitFor();
  await second.unroute("**/reviews/*");
  await second.getByRole("button", { name: "Keep theirs" }).click();
  await first.getByRole("button", { name: "Undo" }).first().click();
  await first.getByText("Undone").waitFor();
});

test("what one does the other sees by itself, and loses neither selection nor place", async () => {
  const [first, second] = [await open(scope("?search=orders")), await open(scope())];
  const box = /^Allow: web TCP\/8081 orders/;
  const table = second.getByRole("grid");
  await table.locator(".table-row").first().waitFor();
  await table.evaluate((element) => element.scrollTo(0, 640));
  await second.getByRole("checkbox", { name: box }).waitFor();
  const rows = table.locator(".table-row", { hasText: "metrics" });
  await rows.first().click({ modifiers: ["Control"], position: { x: 600, y: 10 } });
  await table.locator(".table-row", { has: second.getByRole("checkbox", { name: box }) }).click({
    modifiers: ["Control"],
    position: { x: 600, y: 10 },
  });
  await second.getByText("2 selected").waitFor();
  const place = await table.evaluate((element) => element.scrollTop);
  await first.getByRole("checkbox", { name: box }).uncheck();
  await second.waitForFunction(
    () =>
      document.querySelector<HTMLInputElement>('input[aria-label^="Allow: web TCP/8081 orders"]')?.checked ===
      false,
  );
  expect(await second.getByText("2 selected").isVisible()).toBe(true);
  expect(await table.evaluate((element) => element.scrollTop)).toBe(place);
  await first.getByRole("button", { name: "Undo" }).first().click();
  await first.getByText("Undone").waitFor();
});

describe("the policy editor", () => {
  const WALL = `# written by ada, for good reasons
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: wall, namespace: shop}
spec:
  podSelector: {matchLabels: {app: cart}}
  policyTypes: [Ingress]
  ingress: []
`;
  const GATE = `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: gate # of the shop
  namespace: shop
spec:
  podSelector: {matchLabels: {app: catalog}}
  policyTypes: [Ingress]
  ingress:
  # everybody in the shop
  - from:
    - podSelector: {}
`;

  /** Replaces the text by what was copied elsewhere. */
  async function write(page: Page, text: string): Promise<void> {
    await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
    await page.evaluate((copied) => navigator.clipboard.writeText(copied), text);
    await page.locator(".cm-content").click();
    await page.keyboard.press("Control+a");
    await page.keyboard.press("Control+v");
  }

  test("one of several policies of a text is edited as a form, and judged at once", async () => {
    const page = await open(scope("?tab=editor"));
    await write(page, `${WALL}---\n${GATE}`);
    const which = page.getByRole("group", { name: "In this text" });
    await which.getByRole("button", { name: "gate" }).click();
    const verdict = page.getByRole("complementary", { name: "On the recorded flows" });
    const cuts = verdict.getByText(/^cuts \d+ connections? that were seen$/);
    await cuts.waitFor();
    const before = await cuts.textContent();
    const form = page.getByRole("region", { name: "Form" });
    expect(await form.getByLabel("Pods with labels").inputValue()).toBe("");
    // Only the ingress of another namespace comes in: the connections of the shop itself are cut, too.
    await form.getByRole("checkbox", { name: "In other namespaces too" }).check();
    await form.getByText("both must hold").waitFor();
    await form.getByLabel("Namespaces with labels").fill("kubernetes.io/metadata.name=platform");
    await page.waitForFunction((old) => {
      const now = document.body.innerText.match(/cuts \d+ connections? that were seen/)?.[0];
      return now !== undefined && now !== old;
    }, before);
    const [download] = await Promise.all([
      page.waitForEvent("download"),
      page.getByRole("button", { name: "Download" }).click(),
    ]);
    const saved = readFileSync(await download.path(), "utf8");
    expect(saved.split("---\n")[0]).toBe(WALL);
    expect(saved).toContain("name: gate # of the shop");
    expect(saved).toContain("# everybody in the shop");
    expect(saved).toContain("kubernetes.io/metadata.name: platform");
  });

  test("what is wrong stands at its line", async () => {
    const page = await open(scope("?tab=editor"));
    await write(page, WALL.replace("[Ingress]", "[Upwards]"));
    const pane = page.getByRole("complementary", { name: "On the recorded flows" });
    await pane.getByText("Line 7").waitFor();
    const marker = page.locator(".cm-gutter-lint .cm-lint-marker-error");
    await marker.waitFor();
    await page.getByRole("button", { name: "Back to what is in the cluster" }).click();
    await marker.waitFor({ state: "detached" });
    await pane.getByText("No recorded connection changes").waitFor();
  });

  test("what is no port never becomes every port", async () => {
    const page = await open(scope("?tab=editor"));
    await write(page, `${GATE}    ports:\n    - {protocol: TCP, port: 8000}\n`);
    const form = page.getByRole("region", { name: "Form" });
    await form.getByText("TCP/8000").waitFor();
    await form.getByLabel("Ports").fill("eight thousand");
    await form.getByLabel("Ports").press("Enter");
    await form.getByText("eight thousand is not a port").waitFor();
    expect(await page.locator(".cm-content").textContent()).toContain("port: 8000");
  });
});

test("the server restarts under an open page", async () => {
  const page = await open(scope());
  await page.getByRole("checkbox").first().waitFor();
  await server.stop();
  await page.getByText("The server does not answer").waitFor();
  await server.start();
  await page.getByText("The server does not answer").waitFor({ state: "detached" });
  await page.getByRole("tab", { name: "Generated Policy" }).click();
  await generated(page).waitFor();
});

const VIEWS = {
  clusters: ["/", "main a"],
  namespaces: ["/network/CLUSTER", "table"],
  ingress: [`/network/CLUSTER/${NAMESPACE}`, "[role=checkbox], input[type=checkbox]"],
  egress: [`/network/CLUSTER/${NAMESPACE}?tab=egress`, "input[type=checkbox]"],
  addresses: [`/network/CLUSTER/${NAMESPACE}?tab=egress&show=addresses`, "input[type=checkbox]"],
  topology: [`/network/CLUSTER/${NAMESPACE}?tab=topology`, ".map canvas"],
  "generated-policy": [`/network/CLUSTER/${NAMESPACE}?tab=policy`, ".yaml"],
  "policy-editor": [`/network/CLUSTER/${NAMESPACE}?tab=editor`, ".yaml, .notice"],
  readiness: [`/network/CLUSTER/${NAMESPACE}?tab=readiness`, "table"],
  configuration: ["/configuration/CLUSTER", "table"],
} as const;

describe.each([
  ["en", "light"],
  ["ja", "dark"],
] as const)("every view in %s, %s", (locale, colorScheme) => {
  test.each(Object.entries(VIEWS))("%s", async (name, [path, element]) => {
    const page = await open(path.replace("CLUSTER", cluster), { locale, colorScheme });
    await page.locator(element).first().waitFor();
    expect(await serious(page)).toEqual([]);
    const folder = process.env.PICTURES;
    if (folder) {
      mkdirSync(folder, { recursive: true });
      await page.screenshot({ path: `${folder}/${name}${locale === "en" ? "" : `-${locale}`}.png` });
    }
    await page.context().close();
  });
});
