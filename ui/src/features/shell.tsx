import { ActionIcon, Button, Menu, useMantineColorScheme } from "@mantine/core";
import {
  IconCheck,
  IconChevronDown,
  IconLanguage,
  IconMoon,
  IconSettings,
  IconUser,
} from "@tabler/icons-react";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { lazy, type ReactNode, Suspense, useEffect, useState } from "react";
import { Fault } from "../api/client.ts";
import { watch } from "../api/events.ts";
import { me } from "../api/queries.ts";
import { signOut } from "../api/session.ts";
import { go, Link, splitUrl, usePlace } from "../components/place.tsx";
import { Empty, Guard, Loading } from "../components/state.tsx";
import { parsePlace, type Place } from "../domain/place.ts";
import { LANGUAGES, type Language, useLanguage, useTexts } from "../i18n/texts.tsx";
import { ClusterPage, HomePage } from "./clusters.tsx";
import { Messages } from "./messages.tsx";
import { NetworkPage } from "./network.tsx";
import { SignIn, takeReturn } from "./sign-in.tsx";

const ConfigurationPage = lazy(async () => ({
  default: (await import("./configuration/page.tsx")).ConfigurationPage,
}));

/** The frame of every page: the main menu above, the page below. */
export function Shell() {
  const t = useTexts();
  const place = usePlace();
  const connected = useLive();
  const cluster = clusterOf(place);
  const who = useQuery(me);
  const stranger = who.error instanceof Fault && who.error.status === 401;
  useEffect(() => {
    const back = who.data ? takeReturn() : null;
    if (back !== null) go(parsePlace(...splitUrl(back)), "replace");
  }, [who.data]);
  useEffect(() => {
    document.title = [titleOf(place), "Ringfence"].filter(Boolean).join(" · ");
  }, [place]);
  return (
    <div className="shell">
      <a className="skip" href="#main">
        {t.app.skip}
      </a>
      <header className="top">
        <Link to={{ page: "home" }} className="brand">
          <img src="/icon.svg" alt="" width={20} height={20} />
          {t.app.name}
        </Link>
        <nav aria-label={t.app.name}>
          <Link
            to={cluster === null ? { page: "home" } : { page: "cluster", cluster }}
            className="nav"
            aria-current={place.page === "configuration" ? undefined : "page"}
          >
            {t.app.network}
          </Link>
        </nav>
        <div className="grow" />
        {cluster !== null && (
          <Link
            to={{ page: "configuration", cluster }}
            className="nav"
            aria-current={place.page === "configuration" ? "page" : undefined}
          >
            <IconSettings size={15} stroke={1.6} aria-hidden /> {t.app.configuration}
          </Link>
        )}
        <LanguageMenu />
        <ThemeMenu />
        <UserMenu />
      </header>
      {!connected && !stranger && (
        <div className="banner bad" role="alert">
          <strong>{t.fault.unreachable}</strong> {t.fault.unreachableText}
        </div>
      )}
      {cluster !== null && !stranger && <Messages cluster={cluster} />}
      <main id="main" tabIndex={-1}>
        <Guard key={place.page} title={t.fault.crashed} again={t.common.retry}>
          <Suspense fallback={<Loading />}>
            {stranger ? <SignIn /> : page(place, t.fault.nowhere, t.fault.nowhereText, t.fault.home)}
          </Suspense>
        </Guard>
      </main>
    </div>
  );
}

function page(place: Place, title: string, text: string, home: string): ReactNode {
  switch (place.page) {
    case "home":
      return <HomePage />;
    case "cluster":
      return <ClusterPage cluster={place.cluster} />;
    case "configuration":
      return <ConfigurationPage cluster={place.cluster} />;
    case "network":
      return <NetworkPage place={place} />;
    case "nowhere":
      return (
        <Empty title={title} text={text}>
          <Link to={{ page: "home" }}>{home}</Link>
        </Empty>
      );
  }
}

function clusterOf(place: Place): string | null {
  if (place.page === "cluster" || place.page === "configuration") return place.cluster;
  return place.page === "network" ? place.scope.cluster : null;
}

function titleOf(place: Place): string {
  if (place.page !== "network") return clusterOf(place) ?? "";
  const { namespace, entity } = place.scope;
  return entity === null ? namespace : `${entity} · ${namespace}`;
}

/** Keeps what is shown up to date; tells whether the server is there. */
function useLive(): boolean {
  const client = useQueryClient();
  const [connected, setConnected] = useState(true);
  useEffect(() => {
    // A blink of the connection is no news.
    let timer: ReturnType<typeof setTimeout> | undefined;
    const stop = watch(client, (yes) => {
      clearTimeout(timer);
      if (yes) setConnected(true);
      else timer = setTimeout(() => setConnected(false), 1500);
    });
    return () => {
      clearTimeout(timer);
      stop();
    };
  }, [client]);
  return connected;
}

function LanguageMenu() {
  const t = useTexts();
  const { language, choose } = useLanguage();
  return (
    <Menu>
      <Menu.Target>
        <ActionIcon variant="subtle" color="gray" aria-label={t.menu.language} title={t.menu.language}>
          <IconLanguage size={17} stroke={1.6} />
        </ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>
        {(Object.keys(LANGUAGES) as Language[]).map((one) => (
          <Menu.Item
            key={one}
            lang={one}
            onClick={() => choose(one)}
            rightSection={one === language && <IconCheck size={14} aria-hidden />}
          >
            {LANGUAGES[one].language}
          </Menu.Item>
        ))}
      </Menu.Dropdown>
    </Menu>
  );
}

function ThemeMenu() {
  const t = useTexts();
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  const choices = { light: t.menu.light, dark: t.menu.dark, auto: t.menu.system } as const;
  return (
    <Menu>
      <Menu.Target>
        <ActionIcon variant="subtle" color="gray" aria-label={t.menu.theme} title={t.menu.theme}>
          <IconMoon size={17} stroke={1.6} />
        </ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>
        {(["light", "dark", "auto"] as const).map((one) => (
          <Menu.Item
            key={one}
            onClick={() => setColorScheme(one)}
            rightSection={one === colorScheme && <IconCheck size={14} aria-hidden />}
          >
            {choices[one]}
          </Menu.Item>
        ))}
      </Menu.Dropdown>
    </Menu>
  );
}

function UserMenu() {
  const t = useTexts();
  const client = useQueryClient();
  const { data } = useQuery(me);
  if (!data) return null;
  return (
    <Menu>
      <Menu.Target>
        <Button
          variant="subtle"
          color="gray"
          leftSection={<IconUser size={15} stroke={1.6} />}
          rightSection={<IconChevronDown size={13} />}
        >
          {data.name}
        </Button>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Label>{t.menu.signedInAs(data.name, t.menu.roles[data.role] ?? data.role)}</Menu.Label>
        {data.name !== "local" && (
          <Menu.Item onClick={() => void signOut().then(() => client.resetQueries())}>
            {t.menu.signOut}
          </Menu.Item>
        )}
      </Menu.Dropdown>
    </Menu>
  );
}
