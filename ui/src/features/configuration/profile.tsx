import { Radio, Stack } from "@mantine/core";
import { PROFILES } from "../../domain/review.ts";
import { useTexts } from "../../i18n/texts.tsx";
import { type PartProps, Section } from "./section.tsx";

/** What the network plugin does where Kubernetes leaves it open. */
export function Profile({ configuration, change, writable }: PartProps) {
  const t = useTexts();
  return (
    <Section id="profile" title={t.config.profile} text={t.config.profileText}>
      <Radio.Group
        aria-label={t.config.profile}
        value={configuration.profile}
        onChange={(value) => {
          const profile = PROFILES.find((one) => one === value);
          if (profile)
            change({ op: "setProfile", profile }, t.config.profileDone(t.config.profiles[profile]));
        }}
      >
        <Stack gap="xs">
          {PROFILES.map((one) => (
            <Radio
              key={one}
              value={one}
              size="xs"
              disabled={!writable}
              label={t.config.profiles[one]}
              description={t.config.profileTexts[one]}
            />
          ))}
        </Stack>
      </Radio.Group>
    </Section>
  );
}
