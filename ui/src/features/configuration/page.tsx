import { notifications } from "@mantine/notifications";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { changeConfiguration, undoConfiguration } from "../../api/changes.ts";
import { type Conflict, Fault } from "../../api/client.ts";
import { configuration as configurationQuery, me } from "../../api/queries.ts";
import { Ready } from "../../components/state.tsx";
import { may } from "../../domain/cluster.ts";
import type { Configuration, ConfigurationOperation } from "../../domain/review.ts";
import { UndoTrail } from "../../domain/undo.ts";
import { useTexts } from "../../i18n/texts.tsx";
import { ConflictDialog } from "../conflict.tsx";
import { ScopeBar } from "../scope.tsx";
import { Aliases } from "./aliases.tsx";
import { Cidrs } from "./cidrs.tsx";
import { History } from "./history.tsx";
import { Labels } from "./labels.tsx";
import { Namespaces } from "./namespaces.tsx";
import { Profile } from "./profile.tsx";
import type { PartProps } from "./section.tsx";

interface Change {
  readonly operation: ConfigurationOperation;
  readonly words: string;
}

/** What holds for every namespace of a cluster; administrators change it. */
export function ConfigurationPage({ cluster }: { readonly cluster: string }) {
  const t = useTexts();
  const client = useQueryClient();
  const query = configurationQuery(cluster);
  const result = useQuery(query);
  const role = useQuery(me).data?.role;
  const writable = role !== undefined && may(role, "admin");
  const [trail] = useState(() => new UndoTrail());
  const [conflict, setConflict] = useState<{ readonly mine: Change; readonly theirs: Conflict } | null>(null);
  const serial = { id: `configuration ${cluster}` };

  const saved = (configuration: Configuration, message: string) => {
    client.setQueryData(query.queryKey, configuration);
    void client.invalidateQueries({
      predicate: ({ queryKey }) => queryKey[1] === cluster && queryKey[0] !== "configuration",
    });
    notifications.show({ color: "teal", message });
  };
  const failed = (error: Error) => {
    void client.invalidateQueries({ queryKey: query.queryKey });
    notifications.show({ color: "red", title: t.fault.notSaved, message: error.message });
  };
  const changing = useMutation({
    scope: serial,
    mutationFn: async ({ operation, words }: Change) => {
      const now = await client.ensureQueryData(query);
      return changeConfiguration(cluster, now.version, [operation], words);
    },
    onSuccess: (configuration, { words }) => saved(configuration, words),
    onError: (error, change) => {
      if (error instanceof Fault && error.conflict) setConflict({ mine: change, theirs: error.conflict });
      else failed(error);
    },
  });
  const undoing = useMutation({
    scope: serial,
    mutationFn: async () => {
      const now = await client.ensureQueryData(query);
      const target = trail.target(now.version);
      if (target === null) return null;
      const undone = await undoConfiguration(cluster, now.version, target);
      trail.undone(undone.version, target);
      return undone;
    },
    onSuccess: (undone) => {
      if (undone === null) notifications.show({ message: t.review.nothingToUndo });
      else saved(undone, t.review.undone);
    },
    onError: failed,
  });

  const part = (configuration: Configuration): PartProps => ({
    cluster,
    configuration,
    change: (operation, words) => changing.mutate({ operation, words }),
    writable,
  });
  return (
    <>
      <ScopeBar cluster={cluster} place={null} />
      <div className="page wide">
        <h1>{t.config.title}</h1>
        <p className="dim">
          {t.config.text(cluster)} {role !== undefined && !writable && t.config.adminsOnly}
        </p>
        <Ready query={result}>
          {(configuration) => (
            <div className="sections">
              <History {...part(configuration)} undo={() => undoing.mutate()} />
              <Labels {...part(configuration)} />
              <Namespaces {...part(configuration)} />
              <Aliases {...part(configuration)} />
              {/* A draft of ranges begins anew with what was saved. */}
              <Cidrs key={JSON.stringify(configuration.cidrs)} {...part(configuration)} />
              <Profile {...part(configuration)} />
            </div>
          )}
        </Ready>
      </div>
      {conflict && (
        <ConflictDialog
          title={t.config.conflict}
          theirs={conflict.theirs}
          mine={conflict.mine.words}
          close={() => setConflict(null)}
          again={() => {
            setConflict(null);
            void client
              .fetchQuery({ ...query, staleTime: 0 })
              .then(() => changing.mutate(conflict.mine), failed);
          }}
          giveUp={() => {
            setConflict(null);
            void client.invalidateQueries({ predicate: ({ queryKey }) => queryKey[1] === cluster });
          }}
        />
      )}
    </>
  );
}
