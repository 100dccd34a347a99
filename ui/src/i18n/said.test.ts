import { describe, expect, test } from "vitest";
import { said } from "./said.ja.ts";
import { say, tell } from "./said.ts";

test.each([
  ["reason", "observed", {}, "観測された"],
  ["reason", "excluded", { file: "shop.yaml", line: "15" }, "手動で禁止（shop.yaml:15）"],
  ["reason", "general-rule", { rule: "BlockAll" }, "基本ルール「すべて遮断」"],
  ["gap", "did-not-run", { schedule: "30 1 * * *" }, "期間中に実行されていません（スケジュール 30 1 * * *）"],
  ["lack", "namespace-label", { needed: "team=a", key: "team", namespace: "legacy" }, "team なし"],
  ["flaw", "idle-port", { direction: "Egress", rule: "2" }, "送信ルール 2"],
] as const)("%s %s", (topic, code, values, japanese) => {
  const english = { code, values, text: "in English" };
  expect(say("en", topic, english)).toBe("in English");
  expect(say("ja", topic, english)).toContain(japanese);
});

test("what is new is said in English", () => {
  expect(say("ja", "reason", { code: "brand-new", values: {}, text: "something new" })).toBe("something new");
});

test("a message without advice gets none", () => {
  const message = {
    severity: "warning",
    code: "no-dns",
    values: {},
    subject: null,
    line: null,
    text: "some of its pods may not ask DNS over UDP",
    namespaces: [],
  } as const;
  expect(tell("ja", { ...message, hint: null }).hint).toBeNull();
  expect(tell("ja", { ...message, hint: "allow it" }).hint).toContain("DNS");
  expect(tell("en", { ...message, hint: "allow it" })).toEqual({ text: message.text, hint: "allow it" });
});

describe("no sentence names what it was not given", () => {
  const named = new Proxy({}, { get: (_, key) => `<${String(key)}>` });
  const sentences = Object.entries(said).flatMap(([topic, all]) =>
    Object.entries(all).map(([code, sentence]) => [`${topic} ${code}`, sentence] as const),
  );
  test.each(sentences)("%s", (_, sentence) => {
    const text = sentence(named, "English") ?? "";
    expect(text).not.toContain("undefined");
    if (text !== "" && text !== "English") expect(text).toMatch(/[ぁ-んァ-ヶ一-龠]/);
  });
});
