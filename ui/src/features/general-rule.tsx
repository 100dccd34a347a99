import { Button, Menu } from "@mantine/core";
import { IconCheck, IconChevronDown } from "@tabler/icons-react";
import type { Direction } from "../domain/edge.ts";
import type { Scope } from "../domain/place.ts";
import { GENERAL_RULES, generalRule } from "../domain/review.ts";
import { useTexts } from "../i18n/texts.tsx";
import { useReview } from "./review.tsx";

/** Chooses the general rule of a direction: for the workload in scope, or else for the whole namespace. */
export function GeneralRulePick({
  scope,
  direction,
}: {
  readonly scope: Scope;
  readonly direction: Direction;
}) {
  const t = useTexts();
  const { review, change, writable } = useReview();
  if (!review) return null;
  const { namespace, kind, entity } = scope;
  const workload = kind && kind !== "Service" && entity ? { namespace, kind, name: entity } : null;
  const { rule: current } = generalRule(review, direction, workload);
  const choose = (rule: (typeof GENERAL_RULES)[number]) => {
    if (rule === current) return;
    change({
      operations: [{ op: "setGeneralRule", direction, rule, workload }],
      words: t.edges.ruleChanged(t.edges.rules[rule] ?? rule),
    });
  };
  return (
    <Menu position="bottom-end" width={340}>
      <Menu.Target>
        <Button variant="default" rightSection={<IconChevronDown size={13} />}>
          <span className="prefix">{t.edges.rule}</span> {t.edges.rules[current] ?? current}
        </Button>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Label>
          {workload ? t.edges.ruleFor(`${workload.kind} ${workload.name}`) : t.edges.ruleForAll}
        </Menu.Label>
        {GENERAL_RULES.map((rule) => (
          <Menu.Item
            key={rule}
            disabled={!writable}
            onClick={() => choose(rule)}
            rightSection={rule === current && <IconCheck size={14} aria-hidden />}
          >
            <div>{t.edges.rules[rule] ?? rule}</div>
            <div className="dim small">{t.edges.ruleTexts[rule] ?? ""}</div>
          </Menu.Item>
        ))}
      </Menu.Dropdown>
    </Menu>
  );
}
