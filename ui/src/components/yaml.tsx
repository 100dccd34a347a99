import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { yaml } from "@codemirror/lang-yaml";
import { HighlightStyle, syntaxHighlighting } from "@codemirror/language";
import { type Diagnostic, lintGutter, setDiagnostics } from "@codemirror/lint";
import { unifiedMergeView } from "@codemirror/merge";
import { search, searchKeymap } from "@codemirror/search";
import { Compartment, EditorState, type Extension, StateEffect, StateField } from "@codemirror/state";
import {
  Decoration,
  type DecorationSet,
  EditorView,
  highlightActiveLine,
  keymap,
  lineNumbers,
} from "@codemirror/view";
import { tags } from "@lezer/highlight";
import { useEffect, useRef } from "react";

export interface LineNote {
  readonly line: number;
  readonly severity: "error" | "warning" | "info";
  readonly text: string;
}

interface YamlProps {
  readonly label: string;
  readonly value: string;
  /** Without it the text can only be read. */
  readonly onChange?: (text: string) => void;
  /** The line that was clicked or gone to, from 1. */
  readonly onLine?: (line: number) => void;
  /** Lines to point out, first and last. */
  readonly marked?: readonly { readonly from: number; readonly to: number }[];
  readonly notes?: readonly LineNote[];
  /** Shows the difference to this text. */
  readonly against?: string | null;
}

const colours = HighlightStyle.define([
  { tag: [tags.propertyName, tags.definition(tags.propertyName)], color: "var(--code-key)" },
  { tag: [tags.string, tags.special(tags.string), tags.content], color: "var(--code-text)" },
  { tag: [tags.number, tags.bool, tags.null, tags.atom], color: "var(--code-value)" },
  { tag: [tags.comment, tags.lineComment], color: "var(--code-comment)" },
  {
    tag: [tags.punctuation, tags.separator, tags.squareBracket, tags.brace],
    color: "var(--mantine-color-dimmed)",
  },
]);

const theme = EditorView.theme({
  "&": {
    height: "100%",
    fontSize: "12.5px",
    backgroundColor: "var(--panel)",
    color: "var(--mantine-color-text)",
  },
  "&.cm-focused": { outline: "2px solid var(--focus)", outlineOffset: "-2px" },
  ".cm-scroller": { fontFamily: "var(--mono)", lineHeight: "1.55" },
  ".cm-gutters": {
    backgroundColor: "var(--raised)",
    color: "var(--mantine-color-dimmed)",
    borderRight: "1px solid var(--line)",
  },
  ".cm-activeLine, .cm-activeLineGutter": { backgroundColor: "var(--hover)" },
  ".cm-marked": { backgroundColor: "var(--chosen)" },
  ".cm-cursor": { borderLeftColor: "var(--mantine-color-text)" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": {
    backgroundColor: "var(--select)",
  },
  ".cm-insertedLine, .cm-changedLine": { backgroundColor: "var(--good-bg) !important" },
  ".cm-changedText": { background: "var(--insert) !important" },
  ".cm-deletedChunk": { backgroundColor: "var(--bad-bg)" },
  ".cm-deletedChunk .cm-deletedText": { background: "var(--delete) !important" },
  ".cm-panels": { backgroundColor: "var(--raised)", color: "var(--mantine-color-text)" },
  ".cm-tooltip": {
    backgroundColor: "var(--panel)",
    border: "1px solid var(--line-strong)",
    color: "var(--mantine-color-text)",
  },
});

const mark = StateEffect.define<NonNullable<YamlProps["marked"]>>();
const markedLines = StateField.define<DecorationSet>({
  create: () => Decoration.none,
  update(decorations, transaction) {
    let next = decorations.map(transaction.changes);
    for (const effect of transaction.effects)
      if (effect.is(mark)) {
        const { doc } = transaction.state;
        const lines = effect.value.flatMap(({ from, to }) =>
          Array.from({ length: to - from + 1 }, (_, i) => from + i).filter(
            (line) => line >= 1 && line <= doc.lines,
          ),
        );
        const each = Decoration.line({ class: "cm-marked" });
        next = Decoration.set(
          [...new Set(lines)].sort((a, b) => a - b).map((line) => each.range(doc.line(line).from)),
        );
      }
    return next;
  },
  provide: (field) => EditorView.decorations.from(field),
});

/**
 * A YAML text, to read or to edit. It stands in a shadow root: there its style sheets are constructed ones, which the
 * content security policy allows.
 */
export function Yaml({ label, value, onChange, onLine, marked, notes, against }: YamlProps) {
  const host = useRef<HTMLDivElement>(null);
  const view = useRef<EditorView | null>(null);
  const handlers = useRef({ onChange, onLine });
  handlers.current = { onChange, onLine };
  const editable = onChange !== undefined;

  useEffect(() => {
    if (host.current === null) return undefined;
    const root = host.current.shadowRoot ?? host.current.attachShadow({ mode: "open" });
    const comparison = new Compartment();
    const extensions: Extension[] = [
      lineNumbers(),
      history(),
      yaml(),
      syntaxHighlighting(colours),
      search(),
      keymap.of([...defaultKeymap, ...historyKeymap, ...searchKeymap]),
      highlightActiveLine(),
      markedLines,
      theme,
      EditorView.contentAttributes.of({ "aria-label": label }),
      EditorState.readOnly.of(!editable),
      EditorState.tabSize.of(2),
      ...(editable ? [lintGutter()] : []),
      comparison.of(
        against === undefined || against === null
          ? []
          : unifiedMergeView({
              original: against,
              mergeControls: false,
              gutter: true,
              collapseUnchanged: { margin: 3 },
            }),
      ),
      EditorView.updateListener.of((update) => {
        if (
          update.docChanged &&
          update.transactions.some(
            (one) =>
              one.isUserEvent("input") ||
              one.isUserEvent("delete") ||
              one.isUserEvent("undo") ||
              one.isUserEvent("redo") ||
              one.isUserEvent("move"),
          )
        )
          handlers.current.onChange?.(update.state.doc.toString());
        if (update.selectionSet)
          handlers.current.onLine?.(update.state.doc.lineAt(update.state.selection.main.head).number);
      }),
    ];
    const editor = new EditorView({
      root,
      parent: root,
      state: EditorState.create({ doc: value, extensions }),
    });
    // It scrolls, so it takes the focus.
    editor.scrollDOM.tabIndex = 0;
    view.current = editor;
    return () => {
      view.current = null;
      editor.destroy();
    };
    // The text itself is brought in below, so that the cursor stays.
    // oxlint-disable-next-line react/exhaustive-deps
  }, [label, editable, against]);

  useEffect(() => {
    const editor = view.current;
    if (editor === null || editor.state.doc.toString() === value) return;
    editor.dispatch({ changes: { from: 0, to: editor.state.doc.length, insert: value } });
  }, [value, against]);

  useEffect(() => {
    view.current?.dispatch({ effects: mark.of(marked ?? []) });
    const first = marked?.[0];
    const editor = view.current;
    if (editor === null || first === undefined || first.from > editor.state.doc.lines) return;
    editor.dispatch({
      effects: EditorView.scrollIntoView(editor.state.doc.line(first.from).from, {
        y: "nearest",
        yMargin: 40,
      }),
    });
  }, [marked, value, against]);

  useEffect(() => {
    const editor = view.current;
    if (editor === null || notes === undefined) return;
    const { doc } = editor.state;
    const diagnostics: Diagnostic[] = notes.map(({ line, severity, text }) => {
      const at = doc.line(Math.max(1, Math.min(doc.lines, line)));
      return { from: at.from, to: at.to, severity, message: text };
    });
    editor.dispatch(setDiagnostics(editor.state, diagnostics));
  }, [notes, value]);

  return <div ref={host} className="yaml" />;
}
