import { member } from "../domain/place.ts";
import { type Me, ROLES } from "../domain/cluster.ts";
import { Fault, fault, sendAlong } from "./client.ts";

// Coming in and going out stand beside the described API, so their answers are checked here.

let csrf: string | null = null;

sendAlong("X-CSRF-Token", () => csrf);

/** How somebody can come in. */
export interface Methods {
  readonly token: boolean;
  /** Where to send the browser for the OpenID provider. */
  readonly oidc: string | null;
}

async function ask(path: string, init: RequestInit): Promise<Record<string, unknown>> {
  const response = await fetch(`/api/v1${path}`, init).catch((cause: unknown) => {
    throw new Fault(0, String(cause), "unreachable");
  });
  const body: unknown = response.status === 204 ? {} : await response.json().catch(() => ({}));
  if (!response.ok) throw fault(response.status, body);
  return typeof body === "object" && body !== null ? { ...body } : {};
}

export async function loadMe(signal: AbortSignal): Promise<Me> {
  const { name, role, csrf: token } = await ask("/me", { signal });
  csrf = typeof token === "string" ? token : null;
  return { name: String(name), role: member(ROLES, String(role)) ?? "viewer" };
}

export async function loadMethods(signal: AbortSignal): Promise<Methods> {
  const { token, oidc } = await ask("/login", { signal });
  return { token: token === true, oidc: typeof oidc === "string" ? oidc : null };
}

export async function signIn(token: string): Promise<void> {
  const headers = { "content-type": "application/json" };
  await ask("/login", { method: "POST", headers, body: JSON.stringify({ token }) });
}

export async function signOut(): Promise<void> {
  await ask("/logout", { method: "POST", headers: csrf === null ? {} : { "X-CSRF-Token": csrf } });
  csrf = null;
}
