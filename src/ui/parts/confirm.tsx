// "Are you sure?" for what cannot be undone. Cancel is where the focus begins.
import type { ComponentChildren } from 'preact';
import { Dialog } from './dialog.tsx';
import { Problem } from './problem.tsx';
import { useAction } from './use_action.ts';

interface Props {
	title: string;
	verb: string;
	work: () => Promise<void>;
	onClose: () => void;
	children: ComponentChildren;
}

export function Confirm({ title, verb, work, onClose, children }: Props) {
	const { busy, failure, run } = useAction();
	return (
		<Dialog title={title} onClose={onClose}>
			{children}
			{failure && <Problem failure={failure} />}
			<div class="actions">
				<button class="plain" type="button" autofocus onClick={onClose}>Cancel</button>
				<button class="bad" type="button" aria-disabled={busy} onClick={() => run(work)}>
					{verb}
				</button>
			</div>
		</Dialog>
	);
}
