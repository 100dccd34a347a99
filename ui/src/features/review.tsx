import { Button, Group } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { createContext, type ReactNode, useCallback, useContext, useEffect, useMemo, useState } from "react";
import { changeReview, undoReview } from "../api/changes.ts";
import { type Conflict, Fault } from "../api/client.ts";
import { me, review as reviewQuery } from "../api/queries.ts";
import { may } from "../domain/cluster.ts";
import type { Choice } from "../domain/edge.ts";
import type { Scope } from "../domain/place.ts";
import type { Operation, Review } from "../domain/review.ts";
import { UndoTrail } from "../domain/undo.ts";
import { useTexts } from "../i18n/texts.tsx";
import { ConflictDialog } from "./conflict.tsx";

/** A change of the review, in words for those who see it later. */
export interface Change {
  readonly operations: readonly Operation[];
  readonly words: string;
  /** Edges whose decision it is, so that their boxes follow at once. */
  readonly decided?: { readonly ids: readonly string[]; readonly choice: Choice | "clear" };
}

interface Reviewing {
  readonly review: Review | undefined;
  readonly writable: boolean;
  readonly change: (change: Change) => void;
  readonly undo: () => void;
  /** Decisions on their way to the server. */
  readonly pending: ReadonlyMap<string, Choice | "clear">;
}
const Context = createContext<Reviewing | null>(null);

export function useReview(): Reviewing {
  const value = useContext(Context);
  if (value === null) throw new Error("useReview is used outside of a ReviewProvider");
  return value;
}

/** Changes the review of a namespace, one change after the other, and says so when somebody else was faster. */
export function ReviewProvider({ scope, children }: { readonly scope: Scope; readonly children: ReactNode }) {
  const t = useTexts();
  const client = useQueryClient();
  const { cluster, namespace } = scope;
  const query = reviewQuery(cluster, namespace);
  const review = useQuery(query).data;
  const role = useQuery(me).data?.role;
  const writable = role !== undefined && may(role, "editor");
  const [pending, setPending] = useState<ReadonlyMap<string, Choice | "clear">>(new Map());
  const [trail] = useState(() => new UndoTrail());
  const [conflict, setConflict] = useState<{ readonly mine: Change; readonly theirs: Conflict } | null>(null);
  const key = query.queryKey;

  const settle = useCallback(
    async (saved: Review) => {
      client.setQueryData(key, saved);
      // The rows follow before the next change goes out; what takes longer follows when it is looked at.
      const slow = ["generated", "judgement", "readiness", "explanation"];
      for (const part of slow) void client.invalidateQueries({ queryKey: [part, cluster] });
      await Promise.all(
        ["edges", "addresses", "topology"].map((part) =>
          client.invalidateQueries({ queryKey: [part, cluster] }),
        ),
      );
    },
    [client, cluster, key],
  );
  const failed = useCallback(
    (error: unknown) => {
      notifications.show({
        color: "red",
        title: t.fault.notSaved,
        message: error instanceof Error ? error.message : String(error),
      });
    },
    [t],
  );
  const serial = { id: `review ${cluster} ${namespace}` };

  const undoing = useMutation({
    scope: serial,
    mutationFn: async () => {
      const now = await client.ensureQueryData(query);
      const target = trail.target(now.version);
      if (target === null) return null;
      const saved = await undoReview({ cluster, namespace }, now.version, target);
      trail.undone(saved.version, target);
      return saved;
    },
    onSuccess: async (saved) => {
      if (saved === null) return notifications.show({ message: t.review.nothingToUndo });
      await settle(saved);
      notifications.show({ color: "teal", message: t.review.undone });
    },
    onError: async (error) => {
      if (error instanceof Fault && error.status === 409) await client.refetchQueries({ queryKey: key });
      failed(error);
    },
  });
  const { mutate: runUndo } = undoing;
  const undo = useCallback(() => runUndo(), [runUndo]);

  const changing = useMutation({
    scope: serial,
    mutationFn: async ({ operations, words }: Change) => {
      const now = await client.ensureQueryData(query);
      return changeReview({ cluster, namespace }, now.version, operations, words);
    },
    onMutate: ({ decided }) => {
      if (!decided) return;
      setPending((before) => {
        const next = new Map(before);
        for (const id of decided.ids) next.set(id, decided.choice);
        return next;
      });
    },
    onSuccess: async (saved, { words }) => {
      await settle(saved);
      const id = notifications.show({
        color: "teal",
        message: (
          <Group justify="space-between" wrap="nowrap">
            <span>{words}</span>
            <Button
              variant="subtle"
              size="compact-xs"
              onClick={() => {
                notifications.hide(id);
                undo();
              }}
            >
              {t.common.undo}
            </Button>
          </Group>
        ),
      });
    },
    onError: (error, change) => {
      if (error instanceof Fault && error.conflict) setConflict({ mine: change, theirs: error.conflict });
      else failed(error);
    },
    onSettled: (_saved, _error, { decided }) => {
      if (!decided) return;
      setPending((before) => {
        const next = new Map(before);
        for (const id of decided.ids) next.delete(id);
        return next;
      });
    },
  });
  const { mutate: change } = changing;

  useEffect(() => {
    const press = (event: KeyboardEvent) => {
      const typing =
        event.target instanceof Element &&
        event.target.closest("input:not([type=checkbox]), textarea, .yaml");
      if (typing || event.key.toLowerCase() !== "z" || !(event.ctrlKey || event.metaKey) || event.shiftKey)
        return;
      event.preventDefault();
      if (writable) undo();
    };
    addEventListener("keydown", press);
    return () => removeEventListener("keydown", press);
  }, [undo, writable]);

  const value = useMemo(
    () => ({ review, writable, change, undo, pending }),
    [review, writable, change, undo, pending],
  );
  return (
    <Context value={value}>
      {children}
      {conflict && (
        <ConflictDialog
          title={t.review.conflict}
          theirs={conflict.theirs}
          mine={conflict.mine.words}
          close={() => setConflict(null)}
          again={() => {
            setConflict(null);
            void client.fetchQuery({ ...query, staleTime: 0 }).then(() => change(conflict.mine), failed);
          }}
          giveUp={() => {
            setConflict(null);
            void client.invalidateQueries({ predicate: ({ queryKey }) => queryKey[1] === cluster });
          }}
        />
      )}
    </Context>
  );
}
