import { IconArrowDown, IconArrowUp } from "@tabler/icons-react";
import { useVirtualizer } from "@tanstack/react-virtual";
import {
  type CSSProperties,
  type KeyboardEvent,
  memo,
  type MouseEvent,
  type ReactNode,
  useCallback,
  useId,
  useMemo,
  useRef,
  useState,
} from "react";
import { useTexts } from "../i18n/texts.tsx";

export interface Column<Row, Key extends string = string> {
  readonly key: Key;
  readonly header: string;
  /** As in `grid-template-columns`. */
  readonly width: string;
  readonly align?: "right";
  readonly sortable?: boolean;
  readonly cell: (row: Row) => ReactNode;
}

interface TableProps<Row, Key extends string> {
  readonly label: string;
  readonly rows: readonly Row[];
  readonly columns: readonly Column<Row, Key>[];
  readonly rowKey: (row: Row) => string;
  readonly selected: ReadonlySet<string>;
  readonly onSelect: (keys: ReadonlySet<string>) => void;
  readonly sort?: { readonly key: string; readonly down: boolean };
  readonly onSort?: (key: Key) => void;
  /** Space, on the selected rows, or the row in focus when none is. */
  readonly onToggle?: (rows: readonly Row[]) => void;
  readonly onOpen?: (row: Row) => void;
  readonly opened?: string | null;
  readonly rowClass?: (row: Row) => string;
  readonly empty: ReactNode;
}

const ROW_HEIGHT = 32;

/**
 * A table of any length: only the rows in sight are in the page. One row has the focus; the arrows move it, with Shift they
 * extend the selection. Rows are known by their keys, so that new data leaves selection, focus and scroll alone.
 */
export function Table<Row, Key extends string>({
  label,
  rows,
  columns,
  rowKey,
  selected,
  onSelect,
  sort,
  onSort,
  onToggle,
  onOpen,
  opened,
  rowClass,
  empty,
}: TableProps<Row, Key>) {
  const t = useTexts();
  const id = useId();
  const box = useRef<HTMLDivElement>(null);
  const [focus, setFocus] = useState<string | null>(null);
  const [anchor, setAnchor] = useState<string | null>(null);
  const index = useMemo(() => new Map(rows.map((row, i) => [rowKey(row), i])), [rows, rowKey]);
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => box.current,
    estimateSize: () => ROW_HEIGHT,
    overscan: 12,
    getItemKey: useCallback((i: number) => (rows[i] === undefined ? i : rowKey(rows[i])), [rows, rowKey]),
  });
  const template = useMemo<CSSProperties>(
    () => ({ gridTemplateColumns: columns.map(({ width }) => width).join(" ") }),
    [columns],
  );
  const place = (focus === null ? undefined : index.get(focus)) ?? 0;
  const keyAt = (i: number) => (rows[i] === undefined ? null : rowKey(rows[i]));

  const range = (from: string | null, to: number) => {
    const begin = from === null ? to : (index.get(from) ?? to);
    return new Set(rows.slice(Math.min(begin, to), Math.max(begin, to) + 1).map(rowKey));
  };
  const move = (to: number, extend: boolean) => {
    const next = Math.max(0, Math.min(rows.length - 1, to));
    const key = keyAt(next);
    if (key === null) return;
    const from = anchor ?? keyAt(place);
    setFocus(key);
    virtual.scrollToIndex(next);
    if (extend) {
      setAnchor(from);
      onSelect(range(from, next));
    } else setAnchor(key);
  };
  const press = (event: KeyboardEvent) => {
    if (event.target !== event.currentTarget) return;
    const row = rows[place];
    const page = Math.max(1, Math.floor((box.current?.clientHeight ?? 0) / ROW_HEIGHT) - 2);
    const steps: Record<string, number> = {
      ArrowDown: place + 1,
      ArrowUp: place - 1,
      PageDown: place + page,
      PageUp: place - page,
      Home: 0,
      End: rows.length - 1,
    };
    const step = steps[event.key];
    if (step !== undefined) move(focus === null && event.key === "ArrowDown" ? 0 : step, event.shiftKey);
    else if (event.key === " " && row) {
      const chosen = rows.filter((one) => selected.has(rowKey(one)));
      onToggle?.(chosen.length > 0 ? chosen : [row]);
    } else if (event.key === "Enter" && row) onOpen?.(row);
    else if (event.key === "a" && (event.ctrlKey || event.metaKey)) onSelect(new Set(rows.map(rowKey)));
    else if (event.key === "Escape") onSelect(new Set());
    else return;
    event.preventDefault();
  };
  const click = (event: MouseEvent, row: Row) => {
    if ((event.target as Element).closest("input, button, a, label")) return;
    const key = rowKey(row);
    setFocus(key);
    if (event.shiftKey) onSelect(range(anchor, index.get(key) ?? 0));
    else {
      setAnchor(key);
      if (event.ctrlKey || event.metaKey) {
        const next = new Set(selected);
        if (!next.delete(key)) next.add(key);
        onSelect(next);
      } else {
        onSelect(new Set());
        onOpen?.(row);
      }
    }
  };

  // The same function at all times, so that lines are drawn again only when something of theirs changes.
  const latest = useRef(click);
  latest.current = click;
  const clicked = useCallback((event: MouseEvent, row: unknown) => latest.current(event, row as Row), []);

  return (
    <div
      ref={box}
      className="table"
      role="grid"
      tabIndex={0}
      aria-label={label}
      aria-rowcount={rows.length + 1}
      aria-multiselectable
      aria-activedescendant={focus !== null && index.has(focus) ? `${id}-${focus}` : undefined}
      onKeyDown={press}
    >
      <div className="table-head" role="row" aria-rowindex={1} style={template}>
        {columns.map(({ key, header, align, sortable }) => (
          <div
            key={key}
            role="columnheader"
            className={align === "right" ? "cell right" : "cell"}
            aria-sort={sort?.key === key ? (sort.down ? "descending" : "ascending") : undefined}
          >
            {sortable ? (
              <button
                type="button"
                className="sort"
                onClick={() => onSort?.(key)}
                title={t.common.sortBy(header)}
              >
                {header}
                {sort?.key === key && (sort.down ? <IconArrowDown size={12} /> : <IconArrowUp size={12} />)}
              </button>
            ) : (
              header
            )}
          </div>
        ))}
      </div>
      {rows.length === 0 ? (
        <div role="row">
          <div role="gridcell">{empty}</div>
        </div>
      ) : (
        <div className="table-body" role="rowgroup" style={{ height: virtual.getTotalSize() }}>
          {virtual.getVirtualItems().map(({ index: i, start, key }) => {
            const row = rows[i];
            if (row === undefined) return null;
            const own = rowKey(row);
            return (
              <Line
                key={String(key)}
                id={`${id}-${own}`}
                row={row}
                columns={columns as readonly Column<unknown>[]}
                template={template}
                start={start}
                place={i}
                selected={selected.has(own)}
                state={[focus === own && "focused", opened === own && "opened", rowClass?.(row)]
                  .filter(Boolean)
                  .join(" ")}
                click={clicked}
              />
            );
          })}
        </div>
      )}
    </div>
  );
}

interface LineProps {
  readonly id: string;
  readonly row: unknown;
  readonly columns: readonly Column<unknown>[];
  readonly template: CSSProperties;
  readonly start: number;
  readonly place: number;
  readonly selected: boolean;
  /** Further classes. */
  readonly state: string;
  readonly click: (event: MouseEvent, row: unknown) => void;
}

/** One row. Scrolling moves many of them and changes none, so they are kept. */
const Line = memo(function Line({
  id,
  row,
  columns,
  template,
  start,
  place,
  selected,
  state,
  click,
}: LineProps) {
  return (
    // The grid takes the keys for its rows.
    // oxlint-disable-next-line jsx-a11y/click-events-have-key-events
    <div
      id={id}
      role="row"
      tabIndex={-1}
      aria-rowindex={place + 2}
      aria-selected={selected}
      className={`table-row ${selected ? "selected " : ""}${state}`}
      style={{ ...template, transform: `translateY(${start}px)` }}
      onClick={(event) => click(event, row)}
      onMouseDown={(event) => event.shiftKey && event.preventDefault()}
    >
      {columns.map(({ key, align, cell }) => (
        <div key={key} role="gridcell" className={align === "right" ? "cell right" : "cell"}>
          {cell(row)}
        </div>
      ))}
    </div>
  );
});
