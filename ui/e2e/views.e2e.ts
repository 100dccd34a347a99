import { describe, expect, test } from "vitest";
import { Fixture } from "./fixture.ts";
import { serious, stage } from "./stage.ts";

const theatre = stage();

export const VIEWS = {
  home: ["/", "Clusters"],
  cluster: ["/network/demo", "Namespaces"],
  ingress: ["/network/demo/shop", "metrics"],
  egress: ["/network/demo/shop?tab=egress&edge=egress4", "Which rule decides"],
  addresses: ["/network/demo/shop?tab=egress&show=addresses", "203.0.113.77"],
  topology: ["/network/demo/shop?tab=topology", "All nodes"],
  link: ["/network/demo/shop?tab=topology&pick=link4", "Would be forbidden"],
  policy: ["/network/demo/shop?tab=policy", "PROVEN"],
  editor: ["/network/demo/shop?tab=editor", "cuts 1 connection"],
  readiness: ["/network/demo/shop?tab=readiness", "What is missing"],
  configuration: ["/configuration/demo", "Cluster CIDRs"],
  nowhere: ["/somewhere", "There is no such page"],
} as const;

describe.each(["light", "dark"] as const)("in the %s theme", (colorScheme) => {
  test.each(Object.entries(VIEWS))("axe finds nothing serious: %s", async (_name, [path, text]) => {
    const page = await theatre.open(path, new Fixture(), { colorScheme });
    await page.getByText(text).first().waitFor();
    expect(await serious(page)).toEqual([]);
  });
});

describe("states", () => {
  const faults = [
    [403, "You have no permission for this"],
    [404, "There is no such page"],
    [400, "This could not be loaded"],
  ] as const;
  const parts = [
    ["/network/demo/shop", "/edges"],
    ["/network/demo/shop?tab=egress&show=addresses", "/addresses"],
    ["/network/demo/shop?tab=topology", "/topology"],
    ["/network/demo/shop?tab=policy", "/policies"],
    ["/network/demo/shop?tab=editor", "/policies/existing"],
    ["/network/demo/shop?tab=readiness", "/readiness"],
    ["/network/demo", "/namespaces"],
    ["/configuration/demo", "/configuration"],
    ["/", "/clusters"],
  ] as const;
  test.each(
    parts.flatMap(([path, part]) => faults.map(([status, text]) => [path, part, status, text] as const)),
  )("%s, %s answers %i", async (path, part, status, text) => {
    const fixture = new Fixture();
    fixture.faults.set(part, status);
    const page = await theatre.open(path, fixture);
    await page.getByText(text).waitFor();
  });

  test("nothing was observed", async () => {
    const fixture = new Fixture();
    fixture.ends = [];
    const page = await theatre.open("/network/demo/shop?time=1h", fixture);
    await page.getByText("Nobody was seen connecting to them").waitFor();
    await page.getByRole("button", { name: "Show all that was recorded" }).click();
    expect(page.url()).not.toContain("time=");
    await page.getByRole("tab", { name: "Topology" }).click();
    await page.getByText("Nothing to draw yet").waitFor();
  });

  test("a viewer looks and cannot change", async () => {
    const fixture = new Fixture();
    fixture.role = "viewer";
    const page = await theatre.open("/network/demo/shop", fixture);
    const box = page.getByRole("checkbox").first();
    await box.waitFor();
    expect(await box.isDisabled()).toBe(true);
    await page.getByText("You can look, but not change").waitFor();
  });
});

describe("the address says what is shown", () => {
  test("another browser shows the same, back and forward work", async () => {
    const page = await theatre.open("/network/demo/shop", new Fixture());
    await page.getByRole("tab", { name: "Egress" }).click();
    await page.getByRole("textbox", { name: "Search peers" }).fill("database");
    await page.getByText("3 rows").waitFor();
    const address = new URL(page.url());
    expect(address.search).toBe(
      "?search=database&tab=egress".replace("search=database&tab=egress", "tab=egress&search=database"),
    );
    const other = await theatre.open(address.pathname + address.search, new Fixture());
    await other.getByText("3 rows").waitFor();
    await page.getByRole("tab", { name: "Readiness" }).click();
    await page.getByText("How complete the evidence is").waitFor();
    await page.goBack();
    await page.getByText("3 rows").waitFor();
    await page.goForward();
    await page.getByText("How complete the evidence is").waitFor();
  });
});

describe("decisions", () => {
  const box = "Allow: web TCP/8081 orders";

  test("a click forbids, undo allows again", async () => {
    const page = await theatre.open("/network/demo/shop", new Fixture());
    await page.getByRole("checkbox", { name: box }).uncheck();
    await page.getByText("Forbade 1 connection by hand").waitFor();
    await page.getByText("Version 4").waitFor();
    await page.keyboard.press("Control+z");
    await page.getByText("Undone").waitFor();
    expect(await page.getByRole("checkbox", { name: box }).isChecked()).toBe(true);
  });

  test("the keyboard chooses many rows and decides about them", async () => {
    const page = await theatre.open("/network/demo/shop?search=metrics", new Fixture());
    const grid = page.getByRole("grid");
    await grid.getByText("metrics").first().waitFor();
    await grid.focus();
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Shift+ArrowDown");
    await page.keyboard.press("Shift+ArrowDown");
    await page.getByText("3 selected").waitFor();
    await page.keyboard.press("Space");
    await page.getByText("Forbade 3 connections by hand").waitFor();
    await page.waitForFunction(() => document.querySelectorAll(".table-row.forbidden").length === 3);
    await page.keyboard.press("Escape");
    await page.keyboard.press("Enter");
    await page.getByRole("complementary").getByText("Connection", { exact: true }).waitFor();
  });

  test("somebody else was faster: both changes are shown, and mine goes on top", async () => {
    const fixture = new Fixture();
    const page = await theatre.open("/network/demo/shop", fixture);
    await page.getByRole("checkbox", { name: box }).waitFor();
    await page.getByText("Version 3").waitFor();
    fixture.interfere();
    await page.getByRole("checkbox", { name: box }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByText("mallory saved a change").waitFor();
    await dialog.getByText("cart TCP/8082 is excluded").waitFor();
    await dialog.getByText("Forbade 1 connection by hand").waitFor();
    expect(await serious(page)).toEqual([]);
    await dialog.getByRole("button", { name: "Apply mine on top of theirs" }).click();
    await page.getByText("Version 5").waitFor();
    expect(await page.getByRole("checkbox", { name: box }).isChecked()).toBe(false);
  });

  test("a range is checked before it is sent", async () => {
    const page = await theatre.open("/network/demo/shop?tab=egress&show=addresses", new Fixture());
    await page.getByRole("button", { name: "Allow egress to IP mask" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Range (CIDR)").fill("198.51.100.1/24");
    await dialog.getByText("Not a range of addresses").waitFor();
    expect(await dialog.getByRole("button", { name: "Allow", exact: true }).isDisabled()).toBe(true);
    await dialog.getByLabel("Range (CIDR)").fill("198.51.100.0/24");
    await dialog.getByRole("button", { name: "Allow", exact: true }).click();
    await page.getByText("Allowed 198.51.100.0/24").waitFor();
  });
});

describe("the generated policy", () => {
  test("a rule leads to its evidence, and an edge to its rule", async () => {
    const page = await theatre.open("/network/demo/shop?tab=policy", new Fixture());
    await page.getByText("port: 8081").or(page.getByText("8081")).first().click();
    await page.getByText("Evidence for ringfence-deployment-orders ingress[0]").waitFor();
    await page.getByRole("complementary").getByRole("button", { name: /web/ }).click();
    await page.getByRole("button", { name: "Show its rule" }).click();
    await page.getByText("Evidence for ringfence-deployment-orders ingress[0]").waitFor();
  });
});

describe("the map", () => {
  test("now, and with this policy", async () => {
    const page = await theatre.open("/network/demo/shop?tab=topology", new Fixture());
    const legend = page.getByRole("list", { name: "Legend" });
    await legend.getByText("Would be forbidden").waitFor();
    await page.getByText("Now", { exact: true }).click();
    await legend.getByText("Allowed now").waitFor();
    await legend.getByText("Would be forbidden").waitFor({ state: "detached" });
    expect(page.url()).toContain("lens=now");
  });

  test("a node is found by name, and leads to its links and their rows", async () => {
    const page = await theatre.open("/network/demo/shop?tab=topology", new Fixture());
    const pane = page.getByRole("complementary");
    await pane.getByRole("button", { name: /orders/ }).click();
    await pane.getByText("Connections into it").waitFor();
    await pane
      .getByRole("button", { name: /TCP\/8081/ })
      .first()
      .click();
    await pane.getByText("Which rule decides").waitFor();
    await pane.getByRole("button", { name: "Open in the table" }).click();
    await page.getByRole("grid").getByText("TCP/8081").first().waitFor();
  });
});

describe("the policy editor", () => {
  test("form and text follow each other", async () => {
    const page = await theatre.open("/network/demo/shop?tab=editor", new Fixture());
    const form = page.getByRole("region", { name: "Form" });
    await form.getByLabel("Pods it holds for").fill("app=cart");
    await page.getByText("Changed here, not in the cluster").waitFor();
    await page.locator(".yaml").getByText("cart").waitFor();
    await page.getByRole("button", { name: "Back to what is in the cluster" }).click();
    expect(await form.getByLabel("Pods it holds for").inputValue()).toBe("app=orders");
  });
});

test("Japanese is there from the start for those whose browser asks for it, and can be left", async () => {
  const page = await theatre.open("/network/demo/shop", new Fixture(), { locale: "ja-JP" });
  await page.getByText("ネットワークセキュリティポリシー").waitFor();
  expect(await page.locator("html").getAttribute("lang")).toBe("ja");
  await page.getByRole("button", { name: "言語" }).click();
  await page.getByRole("menuitem", { name: "English" }).click();
  await page.getByText("Network Security Policy").waitFor();
  await page.reload();
  await page.getByText("Network Security Policy").waitFor();
});
