import { ActionIcon, Tooltip } from "@mantine/core";
import { IconArrowBackUp } from "@tabler/icons-react";
import { lazy, type KeyboardEvent, Suspense, useRef } from "react";
import { at, go, Link, type NetworkPlace } from "../components/place.tsx";
import { Guard, Loading } from "../components/state.tsx";
import { TABS, type Tab } from "../domain/place.ts";
import { useFormat, useTexts } from "../i18n/texts.tsx";
import { EdgesTab } from "./edges.tsx";
import { ReviewProvider, useReview } from "./review.tsx";
import { ScopeBar } from "./scope.tsx";

// The map and the editor are large: they come when they are opened.
const TopologyTab = lazy(async () => ({ default: (await import("./topology.tsx")).TopologyTab }));
const GeneratedTab = lazy(async () => ({ default: (await import("./generated.tsx")).GeneratedTab }));
const EditorTab = lazy(async () => ({ default: (await import("./editor.tsx")).EditorTab }));
const ReadinessTab = lazy(async () => ({ default: (await import("./readiness.tsx")).ReadinessTab }));

/** The page "Network Security Policy" of a namespace. */
export function NetworkPage({ place }: { readonly place: NetworkPlace }) {
  const t = useTexts();
  const { cluster, namespace } = place.scope;
  return (
    <ReviewProvider key={`${cluster}/${namespace}`} scope={place.scope}>
      <ScopeBar cluster={cluster} place={place} />
      <div className="title">
        <h1>{t.page.title}</h1>
        <Tabs place={place} />
        <div className="grow" />
        <ReviewState />
      </div>
      <div
        className="tab-panel"
        role="tabpanel"
        id="panel"
        aria-labelledby={`tab-${place.tab}`}
        key={`${cluster}/${namespace}/${place.tab}`}
      >
        <Guard title={t.fault.crashed} again={t.common.retry}>
          <Suspense fallback={<Loading />}>
            <Panel place={place} />
          </Suspense>
        </Guard>
      </div>
    </ReviewProvider>
  );
}

function Panel({ place }: { readonly place: NetworkPlace }) {
  switch (place.tab) {
    case "ingress":
    case "egress":
      return <EdgesTab place={place} direction={place.tab} />;
    case "topology":
      return <TopologyTab place={place} />;
    case "policy":
      return <GeneratedTab place={place} />;
    case "editor":
      return <EditorTab place={place} />;
    case "readiness":
      return <ReadinessTab place={place} />;
  }
}

function Tabs({ place }: { readonly place: NetworkPlace }) {
  const t = useTexts();
  const list = useRef<HTMLDivElement>(null);
  const press = (event: KeyboardEvent) => {
    const step = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    const next = TABS[(TABS.indexOf(place.tab) + step + TABS.length) % TABS.length];
    if (step === 0 || next === undefined) return;
    event.preventDefault();
    go(at(place, { tab: next }));
    list.current?.querySelector<HTMLElement>(`#tab-${next}`)?.focus();
  };
  return (
    // The tabs in it take the focus.
    // oxlint-disable-next-line jsx-a11y/interactive-supports-focus
    <div className="tabs" role="tablist" aria-label={t.page.title} ref={list} onKeyDown={press}>
      {TABS.map((tab: Tab) => (
        <Link
          key={tab}
          id={`tab-${tab}`}
          role="tab"
          className="tab"
          aria-selected={tab === place.tab}
          aria-controls={tab === place.tab ? "panel" : undefined}
          tabIndex={tab === place.tab ? 0 : -1}
          to={at(place, { tab })}
        >
          {t.page.tabs[tab]}
        </Link>
      ))}
    </div>
  );
}

/** Which version of the review is shown, and the way back. */
function ReviewState() {
  const t = useTexts();
  const format = useFormat();
  const { review, undo, writable } = useReview();
  if (!review) return null;
  const who = review.who && review.at ? `${review.who}, ${format.moment(review.at)}` : t.review.historyEmpty;
  return (
    <div className="row nowrap">
      <span className="dim small" title={who}>
        {t.review.version(review.version)}
      </span>
      <Tooltip label={`${t.common.undo} (Ctrl+Z)`}>
        <ActionIcon
          variant="subtle"
          color="gray"
          aria-label={t.common.undo}
          disabled={!writable || review.version === 0}
          onClick={undo}
        >
          <IconArrowBackUp size={16} stroke={1.7} />
        </ActionIcon>
      </Tooltip>
    </div>
  );
}
