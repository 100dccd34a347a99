import { expect, test } from "vitest";
import { bounds, formatSpan, parseSpan } from "./span.ts";

test("a relative span counts back from now", () => {
  const now = Date.UTC(2026, 4, 12, 1, 2, 3, 456);
  expect(bounds({ type: "last", hours: 24 }, now)).toEqual({ from: "2026-05-11T01:02:03Z" });
  expect(bounds({ type: "all" }, now)).toEqual({});
});

test.each(["24h", "1h", "2026-05-11T00:00:00Z..2026-05-12T06:30:00Z"])("%s reads back", (text) => {
  const span = parseSpan(text);
  expect(span && formatSpan(span)).toBe(text);
});

test.each(["", "h", "-1h", "24", "a..b", "2026-05-11T00:00:00Z"])("%j is no span", (text) => {
  expect(parseSpan(text)).toBeNull();
});
