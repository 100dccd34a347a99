import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { launch } from "./browser.ts";
import { downloaded, openPage } from "./journey.ts";
import { ApiServer, type KubernetesObject } from "./kubernetes.ts";
import { ringfence, ROOT, Served } from "./served.ts";

// The five cases that people come with, from the first page to the downloaded YAML: a server that watches a cluster and
// was sent a flow log. The command line gets the same objects and the same log. Its own tests of the five cases read the
// same files.

const TOWN = `${ROOT}crates/cli/tests/town/`;
const read = (name: string) => readFileSync(TOWN + name, "utf8");
/** The day of the log: what is older than some weeks the server keeps by the hour only. */
const DAY = new Date(Date.now() - 2 * 86_400_000).toISOString().slice(0, 10);
const FLOWS = read("flows.jsonl").replaceAll("2026-03-02", DAY);
const CLUSTER = "town";

let browser: Browser;
let kubernetes: ApiServer;
let server: Served;
/** What the command line reads. */
let folder: string;

beforeAll(async () => {
  browser = await launch();
});
afterAll(() => browser.close());

beforeEach(async () => {
  kubernetes = new ApiServer(read("cluster.yaml"));
  server = new Served(["--config", "server.yaml"], {
    "kubeconfig.yaml": await kubernetes.start(),
    "server.yaml": `store: town.db\nclusters:\n- name: ${CLUSTER}\n  kubeconfig: kubeconfig.yaml\n`,
  });
  await server.start();
  await vi.waitFor(
    async () => {
      const { items } = await server.json<{ items: { sync: { state: string } }[] }>("/clusters");
      expect(items[0]?.sync.state).toBe("synced");
    },
    { timeout: 30_000, interval: 50 },
  );
  await server.json(`/clusters/${CLUSTER}/flows`, { method: "POST", body: FLOWS });
  folder = mkdtempSync(join(tmpdir(), "ringfence-town-"));
  writeFileSync(join(folder, "cluster.yaml"), read("cluster.yaml"));
  writeFileSync(join(folder, "flows.jsonl"), FLOWS);
});
afterEach(async () => {
  await server.remove();
  kubernetes.stop();
  rmSync(folder, { recursive: true });
});

/** From the first page to the namespace. */
async function start(): Promise<Page> {
  const page = await openPage(browser, server.url, "/");
  await page.getByRole("link", { name: new RegExp(CLUSTER) }).click();
  await page.getByRole("link", { name: "front", exact: true }).click();
  await page.getByRole("checkbox").first().waitFor();
  return page;
}

/** Narrows the scope to one Deployment. */
async function choose(page: Page, deployment: string): Promise<void> {
  await page.getByRole("combobox", { name: "Entity kind" }).click();
  await page.getByRole("option", { name: /^Deployment/ }).click();
  await page.getByRole("combobox", { name: "Entity", exact: true }).click();
  await page.getByRole("option", { name: deployment, exact: true }).click();
}

/** Goes to the generated policies and downloads them, proven. */
async function download(page: Page): Promise<string> {
  await page.getByRole("tab", { name: "Generated Policy" }).click();
  await page.getByText("PROVEN", { exact: true }).waitFor();
  return downloaded(page, "All as one YAML file");
}

/** What the command line writes: with the review as the server exports it. */
async function generated(...args: readonly string[]): Promise<string> {
  const review = await server.text(`/clusters/${CLUSTER}/reviews/front/yaml`);
  writeFileSync(join(folder, "front.yaml"), review);
  return generatedWith("front.yaml", ...args);
}

function generatedWith(review: string, ...args: readonly string[]): string {
  const input = ["--cluster", "cluster.yaml", "--flows", "flows.jsonl", "-n", "front", "--review", review];
  return ringfence(folder, ["generate", ...input, ...args]).stdout;
}

/** The policies alone: comments say which file decided. */
const uncommented = (yaml: string) => yaml.replaceAll(/^\s*#.*\n/gm, "");

/** What the command line writes with the review of its own test of the case, which a person wrote. */
function scenario(name: string, ...args: readonly string[]): string {
  writeFileSync(join(folder, "scenario.yaml"), read(`${name}.review.yaml`));
  return uncommented(generatedWith("scenario.yaml", ...args));
}

describe("the five cases", () => {
  test("1: only chosen communications pass", async () => {
    const page = await start();
    await page.getByRole("checkbox", { name: "Allow: web TCP/9000 retired" }).uncheck();
    await page.getByText("Forbade 1 connection by hand").waitFor();
    const yaml = await download(page);
    expect(yaml).toBe(await generated());
    expect(uncommented(yaml)).toBe(scenario("retire"));
    expect(yaml).not.toContain("ipBlock");
    expect(yaml).not.toContain("9000");
    // It is still shown, as forbidden.
    await page.getByRole("tab", { name: "Ingress" }).click();
    await page.locator(".table-row.forbidden", { hasText: "TCP/9000" }).waitFor();
  });

  test("2: a static proxy reaches its range and DNS only", async () => {
    const page = await start();
    await choose(page, "proxy");
    await page.getByRole("tab", { name: "Egress" }).click();
    await page.getByRole("button", { name: /General rule/ }).click();
    await page.getByRole("menuitem", { name: /Block all/ }).click();
    await page.getByText("General rule: Block all").waitFor();
    await page.getByRole("button", { name: "Unresolved addresses" }).click();
    await page.getByRole("button", { name: "Allow egress to IP mask" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Range (CIDR)").fill("198.51.100.0/24");
    await dialog.getByLabel("Except").fill("198.51.100.128/25");
    await dialog.getByLabel("Except").press("Enter");
    await dialog.getByLabel("Ports").fill("443");
    await dialog.getByLabel("Ports").press("Enter");
    await dialog.getByText("Deployment proxy").waitFor();
    await dialog.getByRole("button", { name: "Allow", exact: true }).click();
    await page.getByText("Allowed 198.51.100.0/24").waitFor();
    const yaml = await download(page);
    expect(yaml).toBe(await generated("--workload", "Deployment/proxy"));
    expect(uncommented(yaml)).toBe(scenario("proxy", "--workload", "Deployment/proxy"));
    expect(yaml).not.toContain("203.0.113.9");
  });

  test("3: the namespace only, naming no workload", async () => {
    const page = await start();
    for (const tab of ["Ingress", "Egress"]) {
      await page.getByRole("tab", { name: tab }).click();
      await page.getByRole("button", { name: /General rule Allow what was observed/ }).click();
      await page.getByRole("menuitem", { name: /Allow all inside the namespace/ }).click();
      await page.getByRole("button", { name: /General rule Allow all inside the namespace/ }).waitFor();
    }
    const yaml = await download(page);
    expect(yaml).toBe(await generated());
    expect(uncommented(yaml)).toBe(scenario("namespace-only"));
    expect(uncommented(yaml)).not.toMatch(/app: (web|proxy|retired|batch|api|legacy)/);
  });

  test("4: egress to another namespace, and nothing at home", async () => {
    const page = await start();
    await choose(page, "batch");
    await page.getByText("Nobody was seen connecting to them").waitFor();
    await page.getByRole("tab", { name: "Egress" }).click();
    await page.getByRole("checkbox", { name: "Allow: api TCP/8080 batch" }).waitFor();
    const yaml = await download(page);
    expect(yaml).toBe(await generated("--workload", "Deployment/batch"));
    expect(yaml).toContain("port: 8080");
    expect(yaml).toContain("kube-dns");
  });

  test("5: a namespace without labels is named and cut, until it is labelled", async () => {
    const page = await start();
    await page.getByRole("link", { name: "Configuration" }).click();
    await page.getByRole("checkbox", { name: "Select namespaces by team" }).check();
    await page.getByRole("region", { name: "Namespaces" }).getByRole("button", { name: "Save" }).click();
    const banner = page.getByRole("region", { name: "Messages" }).getByText("Namespaces without labels");
    await banner.waitFor();
    await page.getByRole("region", { name: "Messages" }).getByText("other", { exact: true }).waitFor();
    await page.getByRole("link", { name: "Network" }).click();
    await page.getByRole("link", { name: "front", exact: true }).click();
    const row = page.locator(".table-row", { hasText: "legacy" }).first();
    await row.getByText("Forbidden").waitFor();
    const before = await download(page);
    expect(before).toBe(await generated());
    expect(uncommented(before)).toBe(scenario("by-team"));
    expect(before).not.toContain("legacy");

    // Somebody labels it; the page is not touched.
    const namespace = kubernetes.get("namespaces", "", "other");
    kubernetes.apply(labelled(namespace));
    await banner.waitFor({ state: "detached" });
    const after = await download(page);
    expect(after).toContain("team: old");
    writeFileSync(
      join(folder, "cluster.yaml"),
      read("cluster.yaml").replace("name: other}}", "name: other, team: old}}"),
    );
    expect(after).toBe(await generated());
    await page.getByRole("tab", { name: "Ingress" }).click();
    await row.getByText("Allowed").waitFor();
  });
});

function labelled(namespace: KubernetesObject): KubernetesObject {
  const labels = { "kubernetes.io/metadata.name": "other", team: "old" };
  return { ...namespace, metadata: { ...namespace.metadata, labels } };
}
