interface TickProps {
  readonly label: string;
  readonly checked: boolean;
  /** Neither yes nor no. */
  readonly mixed: boolean;
  readonly disabled: boolean;
  readonly toggle: () => void;
}

/** The check box of a row: the browser's own, because a table draws many of them while it scrolls. */
export function Tick({ label, checked, mixed, disabled, toggle }: TickProps) {
  return (
    <input
      ref={(box) => {
        if (box) box.indeterminate = mixed;
      }}
      type="checkbox"
      className="tick"
      aria-label={label}
      tabIndex={-1}
      checked={checked}
      disabled={disabled}
      onChange={toggle}
    />
  );
}
