import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** The repository. */
export const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** The program under test; `target/debug/ringfence` when RINGFENCE does not name one. */
const BINARY = process.env.RINGFENCE ?? `${ROOT}target/debug/ringfence`;

/** How long a server may take to start or to end, in milliseconds. */
const PATIENCE = 60_000;

/** Runs `ringfence`, and gives what it printed. `generate` exits with 1 when the proof fails, and writes all the same. */
export function ringfence(folder: string, args: readonly string[]): { stdout: string; stderr: string } {
  const { status, stdout, stderr } = spawnSync(BINARY, args, { cwd: folder, encoding: "utf8" });
  if (status !== 0 && status !== 1) throw new Error(`ringfence ${args.join(" ")}: ${stderr}`);
  return { stdout, stderr };
}

/** A `ringfence serve` in a process and a folder of its own; relative paths in `args` start there. */
export class Served {
  readonly folder = mkdtempSync(join(tmpdir(), "ringfence-e2e-"));
  readonly #args: readonly string[];
  #process: ChildProcess | null = null;
  #url: string | null = null;

  constructor(args: readonly string[], files: Readonly<Record<string, string>> = {}) {
    this.#args = args;
    for (const [name, text] of Object.entries(files)) writeFileSync(join(this.folder, name), text);
  }

  /** Where it answers: the same after a restart. */
  get url(): string {
    if (this.#url === null) throw new Error("the server was not started");
    return this.#url;
  }

  /** Waits until it says where it listens: on a free port, or where it did before. */
  async start(port = 0): Promise<void> {
    const listen = this.#url === null ? `127.0.0.1:${port}` : new URL(this.#url).host;
    const child = spawn(BINARY, ["serve", "--listen", listen, ...this.#args], {
      cwd: this.folder,
      env: { ...process.env, TMPDIR: this.folder },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#process = child;
    this.#url = await new Promise<string>((ready, fail) => {
      let [said, complained] = ["", ""];
      const late = setTimeout(() => fail(new Error(`no answer from ${BINARY}: ${complained}`)), PATIENCE);
      child.once("error", fail);
      child.once("exit", () => fail(new Error(`${BINARY} ended: ${complained}`)));
      child.stderr.on("data", (data) => (complained = `${complained}${String(data)}`.slice(-4000)));
      child.stdout.on("data", (data) => {
        said += String(data);
        const url = /^(http\S+?)\/?\n/m.exec(said)?.[1];
        if (url === undefined) return;
        clearTimeout(late);
        ready(url);
      });
    });
  }

  /** Asks it to stop, and waits until it has. */
  async stop(): Promise<void> {
    const child = this.#process;
    this.#process = null;
    if (child === null || child.exitCode !== null) return;
    const ended = new Promise((end) => child.once("exit", end));
    child.kill("SIGTERM");
    const late = setTimeout(() => child.kill("SIGKILL"), PATIENCE);
    await ended;
    clearTimeout(late);
  }

  /** Copies what a demo keeps. */
  backup(to: string): void {
    const [demo] = readdirSync(this.folder).filter((name) => name.startsWith("ringfence-demo-"));
    if (demo === undefined) throw new Error("this is no demo");
    ringfence(this.folder, ["backup", "--store", join(demo, "demo.db"), "-o", to]);
  }

  /** Stops it for good. */
  async remove(): Promise<void> {
    await this.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }

  async json<T>(path: string, init?: RequestInit): Promise<T> {
    const answer = await fetch(`${this.url}/api/v1${path}`, init);
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
    return (await answer.json()) as T;
  }

  async text(path: string): Promise<string> {
    const answer = await fetch(`${this.url}/api/v1${path}`);
    if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
    return answer.text();
  }
}
