import { type AnchorHTMLAttributes, type MouseEvent, useCallback, useSyncExternalStore } from "react";
import { formatPlace, parsePlace, type Place, type Scope, type Tab } from "../domain/place.ts";

const CHANGED = "ringfence-place";

function subscribe(changed: () => void): () => void {
  addEventListener("popstate", changed);
  addEventListener(CHANGED, changed);
  return () => {
    removeEventListener("popstate", changed);
    removeEventListener(CHANGED, changed);
  };
}
const current = () => location.pathname + location.search;

/** Goes to a place. `replace` leaves no step to go back to: for what changes with every key stroke. */
export function go(place: Place, how: "push" | "replace" = "push"): void {
  const url = formatPlace(place);
  if (url === current()) return;
  history[how === "push" ? "pushState" : "replaceState"](null, "", url);
  dispatchEvent(new Event(CHANGED));
}

/** The path and the query of an address. */
export function splitUrl(url: string): [path: string, search: string] {
  const { pathname, search } = new URL(url, location.origin);
  return [pathname, search];
}

/** Where we are: what the URL says. */
export function usePlace(): Place {
  const url = useSyncExternalStore(subscribe, current);
  return parsePlace(...splitUrl(url));
}

export type NetworkPlace = Extract<Place, { page: "network" }>;

/** One value of the tab's view in the URL, and how to set it. */
export function useView(
  place: NetworkPlace,
  key: string,
): readonly [string | undefined, (value: string | null, how?: "push" | "replace") => void] {
  const set = useCallback(
    (value: string | null, how: "push" | "replace" = "replace") => {
      const now = parsePlace(location.pathname, location.search);
      if (now.page !== "network") return;
      const { [key]: _, ...rest } = now.view;
      go({ ...now, view: value === null ? rest : { ...rest, [key]: value } }, how);
    },
    [key],
  );
  return [place.view[key], set];
}

/** The place with another scope or tab; what the tab shows does not come along. */
export function at(
  place: NetworkPlace,
  change: { scope?: Partial<Scope>; tab?: Tab; view?: Record<string, string> },
): NetworkPlace {
  return {
    page: "network",
    scope: { ...place.scope, ...change.scope },
    tab: change.tab ?? place.tab,
    view: change.view ?? (change.tab && change.tab !== place.tab ? {} : place.view),
  };
}

/** A link inside the application. */
export function Link({
  to,
  onClick,
  children,
  ...rest
}: { readonly to: Place } & AnchorHTMLAttributes<HTMLAnchorElement>) {
  const click = (event: MouseEvent<HTMLAnchorElement>) => {
    onClick?.(event);
    const plain = event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
    if (!plain || event.defaultPrevented) return;
    event.preventDefault();
    go(to);
  };
  return (
    <a {...rest} href={formatPlace(to)} onClick={click}>
      {children}
    </a>
  );
}
