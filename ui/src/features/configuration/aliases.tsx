import { Button, Checkbox, Group, Modal, Textarea, TextInput } from "@mantine/core";
import { IconPlus } from "@tabler/icons-react";
import { type FormEvent, useState } from "react";
import { parseBlock } from "../../domain/net.ts";
import type { Alias } from "../../domain/review.ts";
import { useTexts } from "../../i18n/texts.tsx";
import { entries, type PartProps, Section } from "./section.tsx";

/** Names for addresses, and whether connections with them may go into policies. */
export function Aliases({ configuration, change, writable }: PartProps) {
  const t = useTexts();
  const [edited, setEdited] = useState<Alias | null>(null);
  return (
    <Section id="aliases" title={t.config.aliases} text={t.config.aliasesText}>
      {configuration.aliases.length === 0 ? (
        <p className="flat">{t.config.noAliases}</p>
      ) : (
        <table className="plain">
          <thead>
            <tr>
              <th>{t.common.name}</th>
              <th>{t.common.addresses}</th>
              <th>{t.addresses.allowed}</th>
              <th aria-label={t.common.details} />
            </tr>
          </thead>
          <tbody>
            {configuration.aliases.map((alias) => (
              <tr key={alias.name}>
                <td>{alias.name}</td>
                <td className="mono">{alias.addresses.join(", ")}</td>
                <td>
                  <Checkbox
                    aria-label={`${t.addresses.allowed}: ${alias.name}`}
                    checked={alias.allowed}
                    disabled={!writable}
                    onChange={(event) =>
                      change(
                        { op: "setAlias", alias: { ...alias, allowed: event.currentTarget.checked } },
                        event.currentTarget.checked
                          ? t.config.aliasAllowed(alias.name)
                          : t.config.aliasForbidden(alias.name),
                      )
                    }
                  />
                </td>
                <td className="right nowrap">
                  <Button
                    variant="subtle"
                    size="compact-xs"
                    disabled={!writable}
                    onClick={() => setEdited(alias)}
                  >
                    {t.config.editAlias}
                  </Button>
                  <Button
                    variant="subtle"
                    size="compact-xs"
                    disabled={!writable}
                    onClick={() =>
                      change({ op: "removeAlias", name: alias.name }, t.config.aliasRemoved(alias.name))
                    }
                  >
                    {t.common.remove}
                  </Button>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      <div>
        <Button
          variant="default"
          leftSection={<IconPlus size={14} />}
          disabled={!writable}
          onClick={() => setEdited({ name: "", addresses: [], allowed: true })}
        >
          {t.config.addAlias}
        </Button>
      </div>
      {edited && (
        <AliasDialog
          alias={edited}
          close={() => setEdited(null)}
          save={(alias) => {
            change({ op: "setAlias", alias }, t.addresses.aliased(alias.name));
            setEdited(null);
          }}
        />
      )}
    </Section>
  );
}

interface AliasDialogProps {
  readonly alias: Alias;
  readonly close: () => void;
  readonly save: (alias: Alias) => void;
}

function AliasDialog({ alias, close, save }: AliasDialogProps) {
  const t = useTexts();
  const [name, setName] = useState(alias.name);
  const [text, setText] = useState(alias.addresses.join("\n"));
  const [allowed, setAllowed] = useState(alias.allowed);
  const addresses = entries(text);
  const wrong = addresses.find((one) => parseBlock(one) === null);
  const right = name.trim() !== "" && addresses.length > 0 && wrong === undefined;
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (right) save({ name: name.trim(), addresses, allowed });
  };
  return (
    <Modal
      opened
      onClose={close}
      title={alias.name === "" ? t.config.addAlias : alias.name}
      closeButtonProps={{ "aria-label": t.common.close }}
    >
      <form className="stack" onSubmit={submit}>
        <TextInput
          label={t.addresses.aliasName}
          value={name}
          readOnly={alias.name !== ""}
          onChange={(event) => setName(event.currentTarget.value)}
          data-autofocus={alias.name === "" ? true : undefined}
          required
        />
        <Textarea
          label={t.config.aliasAddresses}
          value={text}
          minRows={4}
          autosize
          error={wrong !== undefined && t.config.wrongRange(wrong)}
          onChange={(event) => setText(event.currentTarget.value)}
          required
        />
        <Checkbox
          label={t.addresses.aliasAllowed}
          checked={allowed}
          onChange={(event) => setAllowed(event.currentTarget.checked)}
        />
        <Group justify="flex-end">
          <Button variant="default" onClick={close}>
            {t.common.cancel}
          </Button>
          <Button type="submit" disabled={!right}>
            {t.common.save}
          </Button>
        </Group>
      </form>
    </Modal>
  );
}
