import { Button, Group, Modal } from "@mantine/core";
import type { ReviewVersion } from "../domain/review.ts";
import { useFormat, useTexts } from "../i18n/texts.tsx";

interface ConflictProps {
  readonly title: string;
  /** What others did since, newest first. */
  readonly theirs: readonly ReviewVersion[];
  /** What was not saved, in words. */
  readonly mine: string;
  readonly close: () => void;
  /** Makes the change again, on what is there now. */
  readonly again: () => void;
  readonly giveUp: () => void;
}

/** Somebody else was faster: shows both changes and lets people choose. */
export function Conflict({ title, theirs, mine, close, again, giveUp }: ConflictProps) {
  const t = useTexts();
  const format = useFormat();
  const [newest] = theirs;
  return (
    <Modal opened onClose={close} title={title} closeButtonProps={{ "aria-label": t.common.close }}>
      <p>{newest ? t.review.conflictText(newest.who) : t.common.loading}</p>
      {newest && <h3>{t.review.conflictTheirs}</h3>}
      <ul className="lines">
        {theirs.map(({ version, who, at, note }) => (
          <li key={version}>
            {note || t.review.version(version)} <span className="dim">{`${who}, ${format.moment(at)}`}</span>
          </li>
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
