import { Button, PasswordInput } from "@mantine/core";
import { IconLock } from "@tabler/icons-react";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { loginMethods } from "../api/queries.ts";
import { signIn } from "../api/session.ts";
import { Notice, Ready } from "../components/state.tsx";
import { useTexts } from "../i18n/texts.tsx";

const RETURN = "ringfence-return";

/** Where somebody wanted to go before the OpenID provider sent them to the first page; only once. */
export function takeReturn(): string | null {
  const url = sessionStorage.getItem(RETURN);
  sessionStorage.removeItem(RETURN);
  return url;
}

/** The page for those who are not signed in. */
export function SignIn() {
  const t = useTexts();
  const client = useQueryClient();
  const query = useQuery(loginMethods);
  const [token, setToken] = useState("");
  const entering = useMutation({
    mutationFn: signIn,
    onSuccess: () => client.resetQueries(),
  });
  return (
    <Notice icon={<IconLock size={28} stroke={1.5} />} title={t.fault.unauthenticated}>
      <Ready query={query}>
        {(methods) => (
          <div className="stack sign-in">
            {methods.oidc !== null && (
              <Button
                component="a"
                href={methods.oidc}
                onClick={() => sessionStorage.setItem(RETURN, location.pathname + location.search)}
              >
                {t.fault.signIn}
              </Button>
            )}
            {methods.token && (
              <form
                className="stack"
                onSubmit={(event) => {
                  event.preventDefault();
                  entering.mutate(token);
                }}
              >
                <PasswordInput
                  size="xs"
                  label={t.fault.token}
                  description={t.fault.tokenText}
                  value={token}
                  onChange={(event) => setToken(event.currentTarget.value)}
                  error={entering.error?.message}
                  visibilityToggleButtonProps={{ "aria-label": t.fault.showToken }}
                  required
                />
                <Button type="submit" variant="default" loading={entering.isPending}>
                  {t.fault.signIn}
                </Button>
              </form>
            )}
          </div>
        )}
      </Ready>
    </Notice>
  );
}
