import { Button, Group, Modal } from "@mantine/core";
import type { Conflict } from "../api/client.ts";
import { useFormat, useSaid, useTexts } from "../i18n/texts.tsx";

interface ConflictDialogProps {
  readonly title: string;
  /** What somebody else did. */
  readonly theirs: Conflict;
  /** What was not saved, in words. */
  readonly mine: string;
  readonly close: () => void;
  /** Makes the change again, on what is there now. */
  readonly again: () => void;
  readonly giveUp: () => void;
}

/** Somebody else was faster: shows both changes and lets people choose. */
export function ConflictDialog({ title, theirs, mine, close, again, giveUp }: ConflictDialogProps) {
  const t = useTexts();
  const format = useFormat();
  const { say } = useSaid();
  const { who, at, changes } = theirs;
  return (
    <Modal opened onClose={close} title={title} closeButtonProps={{ "aria-label": t.common.close }}>
      <p>
        {t.review.conflictText(who ?? "?")}{" "}
        {at !== null && <span className="dim nowrap">{format.moment(at)}</span>}
      </p>
      {changes.length > 0 && <h3>{t.review.conflictTheirs}</h3>}
      <ul className="lines">
        {changes.map((change) => (
          <li key={change.text}>{say("change", change)}</li>
        ))}
      </ul>
      <h3>{t.review.conflictYours}</h3>
      <ul className="lines">
        <li>{mine}</li>
      </ul>
      <Group justify="flex-end" mt="md">
        <Button variant="default" onClick={giveUp}>
          {t.review.keepTheirs}
        </Button>
        <Button onClick={again} data-autofocus>
          {t.review.applyMine}
        </Button>
      </Group>
    </Modal>
  );
}
