import { describe, expect, test } from "vitest";
import { formatPort, parseBlock, parsePort, strictlyInside } from "./net.ts";

describe("blocks of addresses", () => {
  test.each(["10.0.0.0/8", "198.51.100.7", "198.51.100.7/32", "0.0.0.0/0", "::/0", "2001:db8::/32", "::1"])(
    "%s is one",
    (text) => expect(parseBlock(text)).not.toBeNull(),
  );
  test.each([
    "",
    "10.0.0.1/8",
    "10.0.0/8",
    "256.0.0.0",
    "01.2.3.4",
    "10.0.0.0/33",
    "2001::db8::1",
    "::/129",
    "a",
    "1/2/3",
  ])("%j is none", (text) => expect(parseBlock(text)).toBeNull());
  test.each([
    ["10.1.0.0/16", "10.0.0.0/8", true],
    ["10.0.0.0/8", "10.0.0.0/8", false],
    ["11.0.0.0/16", "10.0.0.0/8", false],
    ["2001:db8:1::/48", "2001:db8::/32", true],
    ["10.0.0.0/16", "::/0", false],
  ])("%s strictly inside %s: %s", (inner, outer, expected) => {
    const [a, b] = [parseBlock(inner), parseBlock(outer)];
    expect(a && b && strictlyInside(a, b)).toBe(expected);
  });
});

describe("ports", () => {
  test.each([
    ["443", "443/TCP"],
    ["53/udp", "53/UDP"],
    ["8000-8100", "8000-8100/TCP"],
  ])("%s", (text, expected) => {
    const port = parsePort(text);
    expect(port && formatPort(port)).toBe(expected);
  });
  test.each(["", "0", "65536", "80-79", "80/ICMP", "http"])("%j is none", (text) =>
    expect(parsePort(text)).toBeNull(),
  );
});
