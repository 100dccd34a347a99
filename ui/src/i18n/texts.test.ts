import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { en } from "./en.ts";
import { ja } from "./ja.ts";

function leaves(texts: object, path = ""): [string, unknown][] {
  return Object.entries(texts).flatMap(([key, value]) =>
    typeof value === "object" && value !== null ? leaves(value, `${path}${key}.`) : [[path + key, value]],
  );
}

describe("the languages", () => {
  test("have the same texts", () => {
    expect(
      leaves(ja)
        .map(([path]) => path)
        .sort(),
    ).toEqual(
      leaves(en)
        .map(([path]) => path)
        .sort(),
    );
  });
  test("Japanese sentences are Japanese", () => {
    const english = leaves(ja).filter(
      ([path, text]) =>
        typeof text === "string" &&
        text.split(" ").length > 2 &&
        !/[ぁ-んァ-ヶ一-龠]/.test(text) &&
        !path.endsWith("labelsExample"),
    );
    expect(english).toEqual([]);
  });
  test("every text is used", () => {
    const root = new URL("..", import.meta.url).pathname;
    const source = readdirSync(root, { recursive: true, encoding: "utf8" })
      .filter((file) => /\.tsx?$/.test(file) && !file.includes("i18n"))
      .map((file) => readFileSync(join(root, file), "utf8"))
      .join("\n");
    // Members of a record are looked up by what the server says, so their record is what must be used.
    const unused = leaves(en)
      .map(([path]) => path.split("."))
      .filter(
        ([section, key]) => key !== undefined && !new RegExp(`\\b${section}(\\.${key}\\b|\\[)`).test(source),
      )
      .map((path) => path.join("."));
    expect(unused).toEqual([]);
  });
});
