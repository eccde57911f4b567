// Choosing another password.
import { useState } from 'preact/hooks';
import { refresh } from '../api/cache.ts';
import { call } from '../api/client.ts';
import { useMe } from '../api/me.ts';
import { Field } from '../parts/field.tsx';
import { Problem } from '../parts/problem.tsx';
import { useAction } from '../parts/use_action.ts';

export function Password() {
	const me = useMe();
	const [old, setOld] = useState('');
	const [fresh, setFresh] = useState('');
	const [again, setAgain] = useState('');
	const [done, setDone] = useState(false);
	const { busy, failure, run } = useAction();
	const differ = again.length >= fresh.length && again !== fresh;
	const clear = () => {
		setOld('');
		setFresh('');
		setAgain('');
	};
	const submit = (event: SubmitEvent) => {
		event.preventDefault();
		setDone(false);
		if (fresh !== again)
			return;
		void run(async () => {
			await call('post', '/me/password', { body: { old, new: fresh } });
			clear();
			setDone(true);
			refresh('/me/sessions');
		});
	};
	return (
		<form class="card" onSubmit={submit}>
			<h2>Change the password</h2>
			<input class="hidden" type="text" autocomplete="username" value={me.name} readOnly
				tabIndex={-1} aria-hidden="true" />
			<Field label="Present password" secret autoComplete="current-password"
				value={old} onInput={setOld} required maxLength={256} />
			<Field label="New password" secret autoComplete="new-password" value={fresh}
				onInput={setFresh} required minLength={8} maxLength={256}
				hint="At least 8 characters. A few words in a row are good." />
			<Field label="The new one again" secret autoComplete="new-password"
				value={again} onInput={setAgain} required maxLength={256}
				wrong={differ ? 'The two differ.' : null} />
			{failure && <Problem failure={failure} />}
			<p class="told" role="status">
				{done && 'Changed. All other sessions have ended.'}
			</p>
			<button type="submit" aria-disabled={busy}>Change the password</button>
		</form>
	);
}
