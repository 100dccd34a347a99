import { createHash, generateKeyPairSync, randomUUID, sign } from "node:crypto";
import { createServer, type IncomingMessage, type Server } from "node:http";

/** What somebody is known by at the provider. */
interface Person {
  readonly email: string;
  readonly groups: readonly string[];
}

interface Request {
  readonly redirect: string;
  readonly state: string;
  readonly nonce: string;
  /** Of the proof key (RFC 7636). */
  readonly challenge: string;
}

const base64url = (data: string | Buffer) => Buffer.from(data).toString("base64url");
const json = (value: unknown) => base64url(JSON.stringify(value));

/** An OpenID provider on loopback with the authorisation code flow: a page with one button for each person. */
export class Issuer {
  readonly #key = generateKeyPairSync("ed25519");
  readonly #people: readonly Person[];
  readonly #codes = new Map<string, { readonly request: Request; readonly person: Person }>();
  readonly #server: Server;
  #url = "";

  constructor(people: readonly Person[]) {
    this.#people = people;
    this.#server = createServer((request, response) => {
      void this.#answer(request).then(({ status, type, body, location }) => {
        response.writeHead(status, { "content-type": type, ...(location ? { location } : {}) });
        response.end(body);
      });
    });
  }

  /** Its URL. */
  async start(): Promise<string> {
    await new Promise<void>((ready) => this.#server.listen(0, "127.0.0.1", ready));
    const address = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("the provider has no port");
    this.#url = `http://127.0.0.1:${address.port}`;
    return this.#url;
  }

  stop(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  async #answer(
    request: IncomingMessage,
  ): Promise<{ status: number; type: string; body: string; location?: string }> {
    const { pathname, searchParams } = new URL(request.url ?? "/", this.#url);
    const data = (value: unknown) => ({ status: 200, type: "application/json", body: JSON.stringify(value) });
    const no = (status: number, body: string) => ({ status, type: "text/plain", body });
    switch (pathname) {
      case "/.well-known/openid-configuration":
        return data({
          issuer: this.#url,
          authorization_endpoint: `${this.#url}/authorize`,
          token_endpoint: `${this.#url}/token`,
          jwks_uri: `${this.#url}/keys`,
          response_types_supported: ["code"],
          subject_types_supported: ["public"],
          id_token_signing_alg_values_supported: ["EdDSA"],
        });
      case "/keys":
        return data({
          keys: [{ ...this.#key.publicKey.export({ format: "jwk" }), kid: "one", use: "sig", alg: "EdDSA" }],
        });
      case "/authorize":
        return { status: 200, type: "text/html", body: this.#page(searchParams) };
      case "/enter": {
        const person = this.#people.find(({ email }) => email === searchParams.get("email"));
        const to = new URL(searchParams.get("redirect") ?? "");
        const code = randomUUID();
        if (!person) return no(400, "nobody");
        this.#codes.set(code, { request: requestOf(searchParams), person });
        to.searchParams.set("code", code);
        to.searchParams.set("state", searchParams.get("state") ?? "");
        return { status: 303, type: "text/plain", body: "", location: to.href };
      }
      case "/token": {
        let body = "";
        for await (const chunk of request) body += String(chunk);
        const form = new URLSearchParams(body);
        const known = this.#codes.get(form.get("code") ?? "");
        this.#codes.delete(form.get("code") ?? "");
        const made = createHash("sha256")
          .update(form.get("code_verifier") ?? "")
          .digest("base64url");
        if (known?.request.challenge !== made) return no(400, "the code is not yours");
        const token = this.#token(known.person, known.request.nonce);
        return data({ access_token: "access", token_type: "Bearer", expires_in: 60, id_token: token });
      }
      default:
        return no(404, "nothing here");
    }
  }

  #page(asked: URLSearchParams): string {
    if (asked.get("response_type") !== "code" || asked.get("code_challenge_method") !== "S256")
      return "This provider wants the code flow with a proof key.";
    const request = {
      redirect: asked.get("redirect_uri") ?? "",
      state: asked.get("state") ?? "",
      nonce: asked.get("nonce") ?? "",
      challenge: asked.get("code_challenge") ?? "",
    };
    const links = this.#people.map(
      ({ email }) => `<a href="/enter?${new URLSearchParams({ ...request, email })}">${email}</a>`,
    );
    return `<!doctype html><title>Provider</title><h1>Who are you?</h1>${links.join(" ")}`;
  }

  /** A JWS in its compact form (RFC 7515). */
  #token({ email, groups }: Person, nonce: string): string {
    const now = Math.floor(Date.now() / 1000);
    const claims = {
      iss: this.#url,
      aud: "ringfence",
      sub: email,
      email,
      groups,
      nonce,
      iat: now,
      exp: now + 60,
    };
    const message = `${json({ alg: "EdDSA", kid: "one", typ: "JWT" })}.${json(claims)}`;
    return `${message}.${base64url(sign(null, Buffer.from(message), this.#key.privateKey))}`;
  }
}

function requestOf(params: URLSearchParams): Request {
  const text = (key: string) => params.get(key) ?? "";
  return {
    redirect: text("redirect"),
    state: text("state"),
    nonce: text("nonce"),
    challenge: text("challenge"),
  };
}
