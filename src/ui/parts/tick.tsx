// A checkbox that shows what is, not what was asked for: it changes when the change has been made.
interface Props {
	label: string;
	on: boolean;
	busy: boolean;
	onChange: (on: boolean) => void;
}

export function Tick({ label, on, busy, onChange }: Props) {
	return (
		<label class="tick">
			<input type="checkbox" checked={on} aria-disabled={busy}
				onClick={(event) => {
					event.preventDefault();
					onChange(!on);
				}} />
			{label}
		</label>
	);
}
