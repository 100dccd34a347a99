import { expect, test } from "vitest";
import { UndoTrail } from "./undo.ts";

test("undoing again goes further back, and a change in between is undone first", () => {
  const trail = new UndoTrail();
  expect(trail.target(3)).toBe(2);
  trail.undone(4, 2);
  expect(trail.target(4)).toBe(1);
  trail.undone(5, 1);
  // 6 is a new change, made from what 1 says.
  expect(trail.target(6)).toBe(1);
  trail.undone(7, 1);
  expect(trail.target(7)).toBe(0);
  trail.undone(8, 0);
  expect(trail.target(8)).toBeNull();
});
