import { TextInput } from "@mantine/core";
import { IconSearch, IconServer } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { clusters, namespaces } from "../api/queries.ts";
import { Link } from "../components/place.tsx";
import { Empty, Ready } from "../components/state.tsx";
import { SyncBadge } from "../components/sync-badge.tsx";
import type { Cluster } from "../domain/cluster.ts";
import { networkOf } from "../domain/place.ts";
import { useFormat, useTexts } from "../i18n/texts.tsx";
import { ScopeBar } from "./scope.tsx";

export function HomePage() {
  const t = useTexts();
  const query = useQuery(clusters);
  return (
    <div className="page narrow">
      <h1>{t.home.title}</h1>
      <p className="dim">{t.home.text}</p>
      <Ready query={query}>
        {(list) =>
          list.length === 0 ? (
            <Empty title={t.home.empty} text={t.home.emptyText} />
          ) : (
            <ul className="cards">
              {list.map((cluster) => (
                <li key={cluster.name}>
                  <Link to={{ page: "cluster", cluster: cluster.name }} className="card">
                    <ClusterCard cluster={cluster} />
                  </Link>
                </li>
              ))}
            </ul>
          )
        }
      </Ready>
    </div>
  );
}

function ClusterCard({ cluster }: { readonly cluster: Cluster }) {
  const t = useTexts();
  const format = useFormat();
  const { namespaces, workloads, pods } = cluster.counts;
  return (
    <>
      <div className="row">
        <IconServer size={16} stroke={1.6} aria-hidden />
        <strong className="grow">{cluster.name}</strong>
        <SyncBadge cluster={cluster} />
      </div>
      <div className="dim">{t.home.counts(namespaces, workloads, pods)}</div>
      <div className="dim">
        {cluster.observed
          ? `${t.home.observed}: ${format.moment(cluster.observed.first)} – ${format.moment(cluster.observed.last)}`
          : t.home.nothingObserved}
      </div>
    </>
  );
}

export function ClusterPage({ cluster }: { readonly cluster: string }) {
  const t = useTexts();
  const [search, setSearch] = useState("");
  const query = useQuery(namespaces(cluster));
  return (
    <>
      <ScopeBar cluster={cluster} place={null} />
      <div className="page narrow">
        <h1>{t.cluster.title}</h1>
        <p className="dim">{t.cluster.text}</p>
        <TextInput
          aria-label={t.cluster.filter}
          placeholder={t.cluster.filter}
          leftSection={<IconSearch size={14} />}
          value={search}
          onChange={(event) => setSearch(event.currentTarget.value)}
        />
        <Ready query={query}>
          {(all) => {
            // What belongs to Kubernetes itself comes last.
            const list = all
              .filter(({ name }) => name.includes(search.trim().toLowerCase()))
              .toSorted((a, b) => Number(a.system) - Number(b.system) || a.name.localeCompare(b.name));
            if (list.length === 0)
              return <Empty title={all.length === 0 ? t.cluster.empty : t.scope.nothingFound} />;
            return (
              <table className="plain">
                <thead>
                  <tr>
                    <th>{t.common.namespace}</th>
                    <th className="right">{t.common.workloads}</th>
                    <th className="right">{t.common.pods}</th>
                    <th className="right">{t.common.policies}</th>
                  </tr>
                </thead>
                <tbody>
                  {list.map((one) => (
                    <tr key={one.name}>
                      <td>
                        <Link to={networkOf(cluster, one.name)}>{one.name}</Link>
                      </td>
                      <td className="right">{one.workloads}</td>
                      <td className="right">{one.pods}</td>
                      <td className="right">{one.policies}</td>
                    </tr>
                  ))}
                </tbody>
              </table>
            );
          }}
        </Ready>
      </div>
    </>
  );
}
