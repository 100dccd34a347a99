import { Button, Loader } from "@mantine/core";
import { IconCloudOff, IconError404, IconLock, IconMoodEmpty, IconAlertTriangle } from "@tabler/icons-react";
import { Component, type ReactNode } from "react";
import { useQuery, useQueryClient, type UseQueryResult } from "@tanstack/react-query";
import { Fault } from "../api/client.ts";
import { me } from "../api/queries.ts";
import { useTexts } from "../i18n/texts.tsx";

interface NoticeProps {
  readonly icon: ReactNode;
  readonly title: string;
  readonly text?: ReactNode;
  readonly children?: ReactNode;
}

/** What stands where there is nothing to show: why, and what to do. */
export function Notice({ icon, title, text, children }: NoticeProps) {
  return (
    <div className="notice" role="status">
      <div className="notice-icon">{icon}</div>
      <h2>{title}</h2>
      {text && <p>{text}</p>}
      {children}
    </div>
  );
}

export function Empty(props: Omit<NoticeProps, "icon">) {
  return <Notice icon={<IconMoodEmpty size={28} stroke={1.5} />} {...props} />;
}

export function Loading() {
  const t = useTexts();
  return (
    <div className="notice" role="status" aria-label={t.common.loading}>
      <Loader size="sm" />
    </div>
  );
}

/** Why something could not be loaded, for each kind of fault. */
export function Failure({ error, retry }: { readonly error: unknown; readonly retry?: () => void }) {
  const t = useTexts();
  const role = useQuery(me).data?.role;
  const client = useQueryClient();
  const status = error instanceof Fault ? error.status : null;
  const again = retry && (
    <Button variant="default" size="xs" onClick={retry}>
      {t.common.retry}
    </Button>
  );
  if (status === 0)
    return (
      <Notice
        icon={<IconCloudOff size={28} stroke={1.5} />}
        title={t.fault.unreachable}
        text={t.fault.unreachableText}
      >
        {again}
      </Notice>
    );
  if (status === 401)
    return (
      <Notice icon={<IconLock size={28} stroke={1.5} />} title={t.fault.unauthenticated}>
        <Button onClick={() => void client.resetQueries({ queryKey: me.queryKey })}>{t.fault.signIn}</Button>
      </Notice>
    );
  if (status === 403)
    return (
      <Notice
        icon={<IconLock size={28} stroke={1.5} />}
        title={t.fault.forbidden}
        text={role && t.fault.forbiddenText(t.menu.roles[role] ?? role)}
      />
    );
  if (status === 404)
    return (
      <Notice
        icon={<IconError404 size={28} stroke={1.5} />}
        title={t.fault.nowhere}
        text={t.fault.nowhereText}
      >
        <Button component="a" href="/" variant="default" size="xs">
          {t.fault.home}
        </Button>
      </Notice>
    );
  const text = error instanceof Error ? error.message : String(error);
  return (
    <Notice icon={<IconAlertTriangle size={28} stroke={1.5} />} title={t.fault.title} text={text}>
      {again}
    </Notice>
  );
}

/** Shows data, or why there is none yet. Data that is there stays while it is read again, even when that fails. */
export function Ready<T>({
  query,
  children,
}: {
  readonly query: UseQueryResult<T>;
  readonly children: (data: T) => ReactNode;
}) {
  if (query.data !== undefined) return children(query.data);
  if (query.isError) return <Failure error={query.error} retry={() => void query.refetch()} />;
  return <Loading />;
}

/** Keeps a fault of one view from taking the page with it. */
export class Guard extends Component<
  { readonly title: string; readonly again: string; readonly children: ReactNode },
  { readonly error: Error | null }
> {
  override state: { readonly error: Error | null } = { error: null };

  static getDerivedStateFromError(error: Error) {
    return { error };
  }

  override render() {
    const { error } = this.state;
    if (error === null) return this.props.children;
    return (
      <Notice
        icon={<IconAlertTriangle size={28} stroke={1.5} />}
        title={this.props.title}
        text={error.message}
      >
        <Button variant="default" size="xs" onClick={() => this.setState({ error: null })}>
          {this.props.again}
        </Button>
      </Notice>
    );
  }
}
