// Inviting somebody: a name, then a link that works once.
import { useState } from 'preact/hooks';
import { refresh } from '../api/cache.ts';
import { call } from '../api/client.ts';
import type { Invite as Made } from '../api/types.ts';
import { Dialog } from '../parts/dialog.tsx';
import { Field } from '../parts/field.tsx';
import { Problem } from '../parts/problem.tsx';
import { useAction } from '../parts/use_action.ts';
import { InviteLink } from './invite_link.tsx';

function Form({ onMade, onClose }: { onMade: (made: Made) => void; onClose: () => void }) {
	const [name, setName] = useState('');
	const [display, setDisplay] = useState('');
	const [admin, setAdmin] = useState(false);
	const { busy, failure, run } = useAction();
	const submit = (event: SubmitEvent) => {
		event.preventDefault();
		void run(async () => {
			const body = { name, admin, ...(display && { display }) };
			onMade(await call('post', '/users', { body }));
			refresh('/users');
		});
	};
	return (
		<form onSubmit={submit}>
			<Field label="Name to sign in with" value={name} literal required maxLength={32}
				pattern="[a-z0-9._\-]{1,32}" onInput={setName}
				hint="Small letters, digits, dot, hyphen: for example ada" />
			<Field label="What they are called (optional)" value={display} maxLength={48}
				onInput={setDisplay} />
			<label class="tick">
				<input type="checkbox" checked={admin}
					onChange={(event) => setAdmin(event.currentTarget.checked)} />
				Looks after this home, as you do
			</label>
			{failure && <Problem failure={failure} />}
			<div class="actions">
				<button class="plain" type="button" onClick={onClose}>Cancel</button>
				<button type="submit" aria-disabled={busy}>Make a link</button>
			</div>
		</form>
	);
}

export function Invite({ onClose }: { onClose: () => void }) {
	const [made, setMade] = useState<Made | null>(null);
	return (
		<Dialog title={made ? `A link for ${made.user.display || made.user.name}` : 'Invite a person'}
			onClose={onClose}>
			{made ? <InviteLink made={made} onClose={onClose} />
				: <Form onMade={setMade} onClose={onClose} />}
		</Dialog>
	);
}
