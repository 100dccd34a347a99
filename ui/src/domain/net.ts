/** An address or a block of addresses: 4 or 6, its value, and how many leading bits count. */
export interface Block {
  readonly family: 4 | 6;
  readonly value: bigint;
  readonly bits: number;
}

/** Reads `198.51.100.0/24`, `2001:db8::/32` or a single address. Host bits may not be set. `null` for anything else. */
export function parseBlock(text: string): Block | null {
  const [address, prefix, ...rest] = text.trim().split("/");
  if (!address || rest.length > 0) return null;
  const family = address.includes(":") ? 6 : 4;
  const value = family === 6 ? parseV6(address) : parseV4(address);
  if (value === null) return null;
  const width = family === 6 ? 128 : 32;
  if (prefix !== undefined && !/^\d{1,3}$/.test(prefix)) return null;
  const bits = prefix === undefined ? width : Number(prefix);
  if (bits > width) return null;
  const host = (1n << BigInt(width - bits)) - 1n;
  return (value & host) === 0n ? { family, value, bits } : null;
}

/** Whether `inner` lies in `outer` and is smaller. */
export function strictlyInside(inner: Block, outer: Block): boolean {
  const width = outer.family === 6 ? 128 : 32;
  const shift = BigInt(width - outer.bits);
  return (
    inner.family === outer.family && inner.bits > outer.bits && inner.value >> shift === outer.value >> shift
  );
}

/** `198.51.100.7` as a block of one address. */
export function single(address: string): string {
  return `${address}/${address.includes(":") ? 128 : 32}`;
}

/** A port or a range of ports of a protocol. */
export interface PortRange {
  readonly protocol: Protocol;
  readonly port: number;
  readonly endPort?: number;
}
export const PROTOCOLS = ["TCP", "UDP", "SCTP"] as const;
export type Protocol = (typeof PROTOCOLS)[number];

/** Reads `443`, `53/UDP` or `8000-8100/TCP`; TCP when no protocol is named. `null` for anything else. */
export function parsePort(text: string): PortRange | null {
  const found = /^(\d{1,5})(?:-(\d{1,5}))?(?:\/(TCP|UDP|SCTP))?$/i.exec(text.trim());
  if (!found) return null;
  const port = Number(found[1]);
  const endPort = found[2] === undefined ? port : Number(found[2]);
  if (port < 1 || endPort > 65535 || endPort < port) return null;
  const protocol = PROTOCOLS.find((one) => one === (found[3] ?? "TCP").toUpperCase()) ?? "TCP";
  return endPort === port ? { protocol, port } : { protocol, port, endPort };
}

/** `443/TCP`, `8000-8100/UDP`. */
export function formatPort({ protocol, port, endPort }: PortRange): string {
  return `${port}${endPort === undefined ? "" : `-${endPort}`}/${protocol}`;
}

function parseV4(text: string): bigint | null {
  const parts = text.split(".");
  if (parts.length !== 4) return null;
  let value = 0n;
  for (const part of parts) {
    if (!/^(0|[1-9]\d{0,2})$/.test(part) || Number(part) > 255) return null;
    value = (value << 8n) | BigInt(part);
  }
  return value;
}

function parseV6(text: string): bigint | null {
  const halves = text.split("::");
  if (halves.length > 2) return null;
  const groups = (half: string | undefined) => (half ? half.split(":") : []);
  const [head, tail] = [groups(halves[0]), groups(halves[1])];
  const missing = 8 - head.length - tail.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) return null;
  const all = [...head, ...Array.from({ length: missing }, () => "0"), ...tail];
  if (!all.every((group) => /^[0-9a-f]{1,4}$/i.test(group))) return null;
  return all.reduce((value, group) => (value << 16n) | BigInt(`0x${group}`), 0n);
}
