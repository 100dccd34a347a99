import { expect, test } from "vitest";
import { phrase } from "./phrases.ts";

test.each([
  ["observed", "観測された"],
  ["excluded at shop.yaml:15", "手動で禁止（shop.yaml:15）"],
  [
    "it did not run in the window (schedule 30 1 * * *)",
    "期間中に実行されていません（スケジュール 30 1 * * *）",
  ],
  ["something new", "something new"],
])("%s", (english, japanese) => {
  expect(phrase("en", english)).toBe(english);
  expect(phrase("ja", english)).toBe(japanese);
});
