// A new one-time link: for a first password, or when it was forgotten.
import { useState } from 'preact/hooks';
import { refresh } from '../api/cache.ts';
import { call } from '../api/client.ts';
import type { Invite, User } from '../api/types.ts';
import { Dialog } from '../parts/dialog.tsx';
import { Problem } from '../parts/problem.tsx';
import { useAction } from '../parts/use_action.ts';
import { InviteLink } from './invite_link.tsx';

export function PersonLink({ user }: { user: User }) {
	const [made, setMade] = useState<Invite | null>(null);
	const { busy, failure, run } = useAction();
	const make = () => run(async () => {
		setMade(await call('post', '/users/{name}/invite', { params: { name: user.name } }));
		refresh('/users');
	});
	return (
		<section class="card">
			<h2>{user.has_password ? 'Forgotten password' : 'Invitation'}</h2>
			<p class="soft">A link with which they choose a new password. It works once.</p>
			{failure && <Problem failure={failure} />}
			<div class="actions">
				<button class="plain" type="button" aria-disabled={busy} onClick={make}>
					Make a new link
				</button>
			</div>
			{made && (
				<Dialog title={`A link for ${user.display || user.name}`}
					onClose={() => setMade(null)}>
					<InviteLink made={made} onClose={() => setMade(null)} />
				</Dialog>
			)}
		</section>
	);
}
